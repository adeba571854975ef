import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { EXIT, TraceError } from "../error.ts";
import { quoteShell } from "../text/escape.ts";
import { explainWriteError, readErrorCode } from "./write-error.ts";

/** Bytes gathered before a write, and read from an existing file to see whose it is. */
const BUFFER_BYTES = 1 << 20;
const HEAD_BYTES = 4096;

export interface AtomicWriter {
  /** Bytes handed to `write` so far. */
  readonly bytes: number;
  /** Text is written as UTF-8. Throws TraceError when the disk is full and so on; call `abort` then. */
  write(this: void, chunk: string | Uint8Array): void;
  /** Writes the rest and gives the file its name: a reader sees the old file or the whole new one. */
  commit(this: void): void;
  /** Removes what was written. Harmless after `commit` or a second time. */
  abort(this: void): void;
}

export interface AtomicOptions {
  /** Replace whatever is there. */
  readonly force?: boolean;
  /** Whether an existing file with these first bytes (up to 4096) is ours to replace. Default: none is. */
  readonly isOurs?: (head: Buffer) => boolean;
  /** The option that names the file, for what an error advises. Default: `-o`. */
  readonly option?: string;
}

/**
 * Opens `path` for writing under a temporary name in the same folder. An existing file is replaced only if it
 * is ours or `force` is set. What is no regular file (a pipe, `/dev/null`) is written directly: renaming
 * over it would destroy it. Throws TraceError for every cause an operator can mend.
 */
export function createAtomicWriter(path: string, options: AtomicOptions = {}): AtomicWriter {
  const explain = (error: unknown) => explainWriteError(error, path, options.option);
  try {
    const target = resolveTarget(path);
    if (target.direct) return openWriter(openSync(target.path, "w"), null, { explain, publish: () => {} });
    checkReplaceable(path, target.path, options);
    const temporary = join(dirname(target.path), `.trace-${randomBytes(9).toString("hex")}.tmp`);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const publish = (): void => {
      checkReplaceable(path, target.path, options);
      renameSync(temporary, target.path);
    };
    return openWriter(openSync(temporary, flags, 0o666), temporary, { explain, publish });
  } catch (error) {
    throw explain(error);
  }
}

interface Ending {
  /** Makes an error for the operator of a failed write. */
  readonly explain: (error: unknown) => unknown;
  /** Gives the whole file its name. */
  readonly publish: () => void;
}

function openWriter(fd: number, temporary: string | null, { explain, publish }: Ending): AtomicWriter {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  let filled = 0;
  let bytes = 0;
  let open = true;
  let published = false;

  const flush = (): void => {
    writeAll(fd, buffer.subarray(0, filled));
    filled = 0;
  };
  const close = (): void => {
    if (!open) return;
    open = false;
    closeSync(fd);
  };
  return {
    get bytes() {
      return bytes;
    },
    write(chunk) {
      const data = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      bytes += data.length;
      try {
        if (filled + data.length > BUFFER_BYTES) flush();
        if (data.length >= BUFFER_BYTES) return writeAll(fd, data);
        buffer.set(data, filled);
        filled += data.length;
      } catch (error) {
        throw explain(error);
      }
    },
    commit() {
      try {
        flush();
        close();
        publish();
        published = true;
      } catch (error) {
        throw explain(error);
      }
    },
    abort() {
      try {
        close();
      } catch {
        // The file goes away anyway.
      }
      if (temporary !== null && !published) rmSync(temporary, { force: true });
    },
  };
}

/** A write to a full disk may be short before it fails: go on until all is out or it throws. */
function writeAll(fd: number, data: Uint8Array): void {
  let offset = 0;
  while (offset < data.length) {
    try {
      offset += writeSync(fd, data, offset, data.length - offset);
    } catch (error) {
      if (readErrorCode(error) !== "EAGAIN") throw error;
      // A non-blocking pipe that is full: its reader needs time.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** Follows symbolic links, so that a link stays a link and the rename happens beside the real file. */
function resolveTarget(path: string): { path: string; direct: boolean } {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return { path, direct: false };
  const real = realpathSync(path);
  const stat = statSync(real);
  if (stat.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
  return { path: real, direct: !stat.isFile() };
}

function checkReplaceable(shown: string, path: string, options: AtomicOptions): void {
  if (options.force === true || lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  if (options.isOurs?.(readHead(path)) === true) return;
  throw new TraceError(EXIT.failed, `${shown} exists and is not replaced`, {
    why: "it was not written by trace, or not as this kind of file",
    hint: `choose another name with ${options.option ?? "-o"}, or: rm ${quoteShell(shown)}`,
  });
}

function readHead(path: string): Buffer {
  const fd = openSync(path, "r");
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}
