import { closeSync, readSync } from "node:fs";

/** Random access to the bytes of a file. */
export interface ByteSource {
  /**
   * Exactly `length` bytes from `offset`, or null when the range is not wholly there or cannot be read.
   * The buffer may be shared with the source: it is not to be written.
   */
  read(offset: number, length: number): Buffer | null;
}

/** A ByteSource over bytes in memory. */
export function readFromBuffer(bytes: Buffer): ByteSource {
  return {
    read(offset, length) {
      if (!isRange(offset, length) || offset + length > bytes.length) return null;
      return bytes.subarray(offset, offset + length);
    },
  };
}

export interface FileSource extends ByteSource {
  /** Reading after this gives null. */
  close(): void;
}

/**
 * A ByteSource over an open file of `size` bytes. It owns the descriptor. A range is checked against `size` before
 * memory is taken for it.
 */
export function readFromFile(fd: number, size: number): FileSource {
  let open = true;
  return {
    read(offset, length) {
      if (!open || !isRange(offset, length) || offset + length > size) return null;
      const bytes = Buffer.allocUnsafe(length);
      let done = 0;
      try {
        while (done < length) {
          const got = readSync(fd, bytes, done, length - done, offset + done);
          if (got === 0) return null;
          done += got;
        }
      } catch {
        return null;
      }
      return bytes;
    },
    close() {
      if (!open) return;
      open = false;
      try {
        closeSync(fd);
      } catch {
        // Nothing can be lost: the file was only read.
      }
    },
  };
}

function isRange(offset: number, length: number): boolean {
  return Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
}
