import { close, constants, fstat, open, read, stat as statPath, statfs, type BigIntStats } from "node:fs";
import { promisify } from "node:util";
import { readFromBuffer, readFromFile, type ByteSource } from "./byte-source.ts";

const openAsync = promisify(open);
const closeAsync = promisify(close);
const statfsAsync = promisify(statfs);
const fstatAsync = promisify(fstat) as (fd: number, options: { bigint: true }) => Promise<BigIntStats>;
const statAsync = promisify(statPath) as (
  path: string | Buffer,
  options: { bigint: true },
) => Promise<BigIntStats>;
const readAsync = promisify(read);

// open(2): only find the file, do not open it. The value is that of x86, ARM, RISC-V, s390 and POWER; Node has no name for it.
const O_PATH = 0o10000000;
// statfs(2): file systems whose server can let a read wait for ever. FUSE, NFS, CIFS, SMB2, 9p, Ceph, AFS.
const REMOTE = new Set([0x65735546, 0x6969, 0xff534d42, 0xfe534d42, 0x01021997, 0x00c36400, 0x5346414f]);
const REMOTE_BYTES_MOST = 268_435_456;

/** A regular file that was found, but is not open for reading yet. */
export interface FoundFile {
  /** Equal for the same file with the same content, also under other names and in other mount namespaces. */
  readonly key: string;
  readonly inode: string;
  readonly size: number;
  /** User id of its owner. */
  readonly uid: number;
  /** Opens it, or null where that fails. A file on a remote file system is read as a whole, while it is sure not to hang us. */
  open(): Promise<OpenFile | null>;
  /** To be called in any case. */
  release(): Promise<void>;
}

export interface OpenFile extends ByteSource {
  /** In memory already: it can be read without waiting and needs no descriptor. */
  readonly inMemory: boolean;
  /** Descriptor of a file on a local file system, else null. */
  readonly fd: number | null;
  readonly size: number;
  close(): void;
}

/** `FoundFile.key` and inode of a regular file, or null: one question to the system instead of three, for a file that is known already. */
export async function identifyFile(path: string | Buffer): Promise<Pick<FoundFile, "key" | "inode"> | null> {
  try {
    const stat = await statAsync(path, { bigint: true });
    return stat.isFile() ? { key: keyOf(stat), inode: stat.ino.toString() } : null;
  } catch {
    return null;
  }
}

function keyOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

/**
 * Finds a regular file without opening it, or null: a path that the traced system chose could be a device, whose mere
 * opening does something, or a pipe, which would let us wait. With `follow: false` the last part may be no symbolic link.
 */
export async function findFile(path: string | Buffer, follow: boolean): Promise<FoundFile | null> {
  let pin: number;
  try {
    pin = await openAsync(path, O_PATH | (follow ? 0 : constants.O_NOFOLLOW));
  } catch {
    return null;
  }
  const release = async (): Promise<void> => {
    await closeAsync(pin).catch(() => undefined);
  };
  try {
    const stat = await fstatAsync(pin, { bigint: true });
    if (!stat.isFile()) throw new Error("not a regular file");
    return {
      key: keyOf(stat),
      inode: stat.ino.toString(),
      size: Number(stat.size),
      uid: Number(stat.uid),
      open: () => openFound(pin, Number(stat.size)),
      release,
    };
  } catch {
    await release();
    return null;
  }
}

async function openFound(pin: number, size: number): Promise<OpenFile | null> {
  const path = `/proc/self/fd/${pin}`;
  let fd: number;
  try {
    fd = await openAsync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    if (!REMOTE.has((await statfsAsync(path)).type >>> 0)) {
      return { ...readFromFile(fd, size), inMemory: false, fd, size };
    }
    const bytes = size > REMOTE_BYTES_MOST ? null : await readAll(fd, size);
    await closeAsync(fd);
    if (bytes === null) return null;
    return { ...readFromBuffer(bytes), inMemory: true, fd: null, size: bytes.length, close: () => undefined };
  } catch {
    await closeAsync(fd).catch(() => undefined);
    return null;
  }
}

/** At most `most` bytes from the start of an open file. */
async function readAll(fd: number, most: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(most);
  let done = 0;
  while (done < most) {
    const { bytesRead } = await readAsync(fd, bytes, done, most - done, done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** The text of a /proc file, whose size is not known before, at most `most` bytes of it; null where it cannot be read. */
export async function readProcFile(path: string, most: number): Promise<Buffer | null> {
  let fd: number;
  try {
    fd = await openAsync(path, constants.O_RDONLY);
  } catch {
    return null;
  }
  try {
    const pieces: Buffer[] = [];
    const scratch = Buffer.allocUnsafe(65_536);
    let done = 0;
    while (done < most) {
      // /proc gives about a page at a time, whatever is asked for: so it is copied, not cut from the scratch buffer.
      const { bytesRead } = await readAsync(fd, scratch, 0, Math.min(scratch.length, most - done), null);
      if (bytesRead === 0) break;
      pieces.push(Buffer.from(scratch.subarray(0, bytesRead)));
      done += bytesRead;
    }
    return Buffer.concat(pieces);
  } catch {
    return null;
  } finally {
    await closeAsync(fd).catch(() => undefined);
  }
}
