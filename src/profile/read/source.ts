import { open, type FileHandle } from "node:fs/promises";
import { Readable, type Transform } from "node:stream";
import { createGunzip } from "node:zlib";
import { EXIT, TraceError } from "../../error.ts";
import { readErrorCode } from "../../files/write-error.ts";

/** A source of bytes, unpacked if it is gzip. */
export interface ByteSource {
  /** Fills `buffer[offset …]` with up to `length` bytes; less only at the end. Resolves to how many. */
  read(this: void, buffer: Buffer, offset: number, length: number): Promise<number>;
  close(this: void): Promise<void>;
  /** Whether a gzip stream ended too early or was damaged: what came before it is still read. */
  readonly truncated: boolean;
}

/** Opens a file, or standard input for `-`. Throws TraceError if it cannot be read. */
export async function openSource(path: string, stdin: Readable = process.stdin): Promise<ByteSource> {
  if (path === "-") return openStream(stdin, async () => {});
  const file = await openFile(path);
  try {
    const head = Buffer.alloc(2);
    const stat = await file.stat();
    if (stat.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
    if (!stat.isFile()) return openStream(file.createReadStream({ autoClose: false }), () => file.close());
    await file.read(head, 0, 2, 0);
    if (isGzip(head)) return openStream(file.createReadStream({ autoClose: false }), () => file.close());
    return openPlain(file, path);
  } catch (error) {
    await file.close();
    throw explainReadError(error, path);
  }
}

/** Turns a failed read of `path` into an error with its cause. */
function explainReadError(error: unknown, path: string): unknown {
  const code = readErrorCode(error);
  if (error instanceof TraceError || code === null) return error;
  const why = READ_ERRORS[code] ?? code;
  return new TraceError(EXIT.failed, `cannot read ${path}`, { why, cause: error });
}

const READ_ERRORS: Record<string, string | undefined> = {
  ENOENT: "there is no such file",
  EACCES: "no permission to read it",
  EPERM: "reading it is not permitted",
  EISDIR: "it is a folder",
  EIO: "the device reports an input/output error",
};

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    throw explainReadError(error, path);
  }
}

/** The bytes `start` … `end` of a file that is not packed. Throws TraceError if it cannot be read. */
export async function openRange(path: string, start: number, end: number): Promise<ByteSource> {
  return openPlain(await openFile(path), path, start, end);
}

function openPlain(file: FileHandle, path: string, start = 0, end = Infinity): ByteSource {
  let position = start;
  return {
    truncated: false,
    async read(buffer, offset, length) {
      let filled = 0;
      try {
        const wanted = Math.min(length, end - position);
        while (filled < wanted) {
          const { bytesRead } = await file.read(buffer, offset + filled, wanted - filled, position);
          if (bytesRead === 0) break;
          filled += bytesRead;
          position += bytesRead;
        }
      } catch (error) {
        throw explainReadError(error, path);
      }
      return filled;
    },
    close: () => file.close(),
  };
}

/** A stream that may be gzip: which is known after its first two bytes. */
async function openStream(stream: Readable, close: () => Promise<void>): Promise<ByteSource> {
  const chunks: AsyncIterator<unknown> = stream[Symbol.asyncIterator]();
  let head = await nextChunk(chunks);
  while (head !== null && head.length < 2) {
    const more = await nextChunk(chunks);
    if (more === null) break;
    head = Buffer.concat([head, more]);
  }
  const first = head;
  const plain = (async function* () {
    if (first !== null) yield first;
    for (let chunk = await nextChunk(chunks); chunk !== null; chunk = await nextChunk(chunks)) yield chunk;
  })();
  const state = { truncated: false };
  const packed = first !== null && isGzip(first);
  const iterator = packed ? unpack(plain, state) : plain;
  let rest: Buffer = Buffer.alloc(0);
  return {
    get truncated() {
      return state.truncated;
    },
    async read(buffer, offset, length) {
      let filled = 0;
      while (filled < length) {
        if (rest.length === 0) {
          const { value, done } = await iterator.next();
          if (done === true) break;
          rest = value;
        }
        const size = rest.copy(buffer, offset + filled, 0, length - filled);
        filled += size;
        rest = rest.subarray(size);
      }
      return filled;
    },
    async close() {
      stream.destroy();
      await close();
    },
  };
}

/** A damaged gzip stream gives what is whole before the damage. */
async function* unpack(
  plain: AsyncIterable<Buffer>,
  state: { truncated: boolean },
): AsyncGenerator<Buffer, undefined> {
  const gunzip: Transform = createGunzip();
  const input = Readable.from(plain);
  input.on("error", (error) => gunzip.destroy(error));
  try {
    for await (const chunk of input.pipe(gunzip)) if (Buffer.isBuffer(chunk)) yield chunk;
  } catch (error) {
    const code = readErrorCode(error);
    if (code === null || !code.startsWith("Z_")) throw error;
    state.truncated = true;
  }
  return undefined;
}

async function nextChunk(chunks: AsyncIterator<unknown>): Promise<Buffer | null> {
  const { value, done } = await chunks.next();
  if (done === true) return null;
  return Buffer.isBuffer(value) ? value : Buffer.from(String(value));
}

function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}
