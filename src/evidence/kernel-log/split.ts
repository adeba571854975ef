import { MAX_LINE } from "./line.ts";

/** Bytes in, text lines out, with bounded memory whatever the input holds. */
export interface LineSplitter {
  /** Calls `onLine` for every line that `chunk` completes; `cut` marks a line that was longer than kept. */
  push(chunk: Uint8Array, onLine: (line: string, cut: boolean) => void): void;
  /** The last line, where the stream does not end in a newline. */
  end(onLine: (line: string, cut: boolean) => void): void;
}

const NEWLINE = 0x0a;
/** Of UTF-8, and of UTF-16 (Windows' `dmesg > file`): that one is no UTF-8, the NUL bytes that follow are left out by the decoder. */
const BYTE_ORDER_MARK = /^(?:\ufeff|\ufffd\ufffd(?=\0|[^\0]\0))/;

/**
 * Splits at `\n`. Bytes that are no UTF-8 become U+FFFD. A line longer than `limit` bytes keeps its head.
 * Lines are decoded one by one: a string cut out of a big chunk would keep the chunk alive as long as itself.
 */
export function createLineSplitter(limit = MAX_LINE): LineSplitter {
  let rest: Buffer[] = [];
  let size = 0;
  let cut = false;
  let first = true;

  const keep = (bytes: Buffer): void => {
    if (bytes.length === 0) return;
    if (size + bytes.length > limit) cut = true;
    const room = limit - size;
    // Copied, because the stream may reuse the chunk's memory.
    if (room > 0) rest.push(Buffer.from(bytes.subarray(0, room)));
    size += Math.min(bytes.length, Math.max(room, 0));
  };
  const emit = (line: string, isCut: boolean, onLine: (line: string, cut: boolean) => void): void => {
    onLine(first ? line.replace(BYTE_ORDER_MARK, "") : line, isCut);
    first = false;
  };
  const flush = (onLine: (line: string, cut: boolean) => void): void => {
    emit(Buffer.concat(rest).toString(), cut, onLine);
    rest = [];
    size = 0;
    cut = false;
  };
  return {
    push(chunk, onLine) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      let start = 0;
      for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, start)) {
        if (size > 0 || cut) {
          keep(bytes.subarray(start, at));
          flush(onLine);
        } else {
          const stop = Math.min(at, start + limit);
          emit(bytes.toString("utf8", start, stop), stop < at, onLine);
        }
        start = at + 1;
      }
      keep(bytes.subarray(start));
    },
    end(onLine) {
      if (size > 0 || cut) flush(onLine);
    },
  };
}
