/**
 * Cuts a byte stream into lines. A line may be many megabytes (one bpftrace map is one line), so pieces are kept and
 * joined once. `flush()` gives the last line that had no newline, if any.
 */
export function createLineSplitter(onLine: (line: Buffer) => void): {
  push(chunk: Buffer): void;
  flush(): void;
} {
  let pieces: Buffer[] = [];
  return {
    push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
        const piece = chunk.subarray(start, end);
        onLine(pieces.length === 0 ? piece : Buffer.concat([...pieces, piece]));
        pieces = [];
        start = end + 1;
      }
      if (start < chunk.length) pieces.push(chunk.subarray(start));
    },
    flush() {
      if (pieces.length === 0) return;
      const rest = Buffer.concat(pieces);
      pieces = [];
      onLine(rest);
    },
  };
}
