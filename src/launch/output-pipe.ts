import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";

/** A child's standard output that is read in gulps, instead of once for every line. */
export interface OutputPipe {
  /** To be given to the child as its stdout. */
  readonly writer: number;
  /**
   * After the start of the child (or the failure to start it): closes our copy of the writing end and reads until every other copy is closed
   * too. Called once.
   */
  begin(): void;
  /** The child has ended: what is left is read without rests. Resolves at the end of the pipe, at latest after `patience` seconds. */
  drain(patience: number): Promise<void>;
}

/** As much as a pipe holds (pipe(7)). */
const PIPE_BYTES = 65_536;
/** A gulp of more than this: the pipe would soon be full, and the child wait for us. */
const LARGE = PIPE_BYTES / 2;
/** A gulp of less than this can grow. */
const SMALL = PIPE_BYTES / 8;
/** Longest rest between two gulps: what a line may come later than it could. */
const LONGEST_REST_MS = 10;

/**
 * Makes a pipe without a name: it is removed from its private folder at once. Null where that cannot be done (no `mkfifo`, a read-only
 * /tmp): then the usual stream does.
 *
 * bpftrace writes every line by itself, and what Node gives a child (a socket pair that is listened to all the time) wakes the reader for
 * each. Here the reader rests for up to 10 ms after each gulp, less the fuller the pipe was, and not at all while there is more than a pipe
 * holds. A pipe with nothing in it wakes nobody. docs/cpu.md has more.
 */
export function openOutputPipe(onData: (chunk: Buffer) => void): OutputPipe | null {
  const ends = openEnds();
  if (ends === null) return null;
  const { reader, writer } = ends;
  let socket: Socket | null = null;
  let rest = LONGEST_REST_MS;
  let timer: NodeJS.Timeout | null = null;
  let isDraining = false;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();

  function take(length: number, buffer: Uint8Array): boolean {
    // The buffer is filled again by the next read: what is kept has to be a copy.
    onData(Buffer.from(buffer.subarray(0, length)));
    if (isDraining || length === PIPE_BYTES) {
      rest /= 2;
      return true;
    }
    if (length > LARGE) rest /= 2;
    else if (length < SMALL) rest = Math.min(LONGEST_REST_MS, Math.max(1, rest * 2));
    if (rest < 1) return true;
    timer = setTimeout(() => socket?.resume(), rest);
    return false;
  }

  return {
    writer,
    begin() {
      closeSync(writer);
      const buffer = Buffer.alloc(PIPE_BYTES);
      socket = new Socket({
        fd: reader,
        readable: true,
        writable: false,
        // With a buffer of its own a socket that is paused really stops reading; others read on into memory.
        onread: { buffer, callback: take },
      });
      socket.on("error", () => socket?.destroy());
      socket.on("close", () => {
        if (timer !== null) clearTimeout(timer);
        end();
      });
      socket.resume();
    },
    async drain(patience) {
      isDraining = true;
      if (timer !== null) clearTimeout(timer);
      socket?.resume();
      const late = setTimeout(() => socket?.destroy(), patience * 1000);
      await ended;
      clearTimeout(late);
    },
  };
}

function openEnds(): { reader: number; writer: number } | null {
  let folder: string | null = null;
  let reader: number | null = null;
  try {
    folder = mkdtempSync(join(tmpdir(), "trace-"));
    const path = join(folder, "stdout");
    if (execaSync("mkfifo", ["-m", "600", path], { stdio: "ignore", reject: false }).failed) return null;
    // The reader first, and without waiting: else each end would wait for the other.
    reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return { reader, writer: openSync(path, constants.O_WRONLY) };
  } catch {
    if (reader !== null) closeSync(reader);
    return null;
  } finally {
    if (folder !== null) rmSync(folder, { recursive: true, force: true });
  }
}
