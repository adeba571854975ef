/**
 * Text from the traced system (comm, device names, symbols, log lines) made safe for one line of a terminal:
 * control characters, line separators and bidi overrides become visible escapes, everything else stays.
 */
export function escapeText(text: string): string {
  // C0, DEL, C1 (8-bit terminal escapes), line/paragraph separators, bidi controls, BOM.
  return text.replace(
    // oxlint-disable-next-line no-control-regex -- control characters are exactly what has to go
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (c) => {
      if (c === "\n") return "\\n";
      if (c === "\t") return "\\t";
      if (c === "\r") return "\\r";
      const code = c.charCodeAt(0);
      return code < 256
        ? `\\x${code.toString(16).padStart(2, "0")}`
        : `\\u${code.toString(16).padStart(4, "0")}`;
    },
  );
}

/** A word for a POSIX shell: as it is when harmless, else single-quoted. For commands the user is told to paste. */
export function quoteShell(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
