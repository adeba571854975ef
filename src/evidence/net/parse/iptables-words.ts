/** A rule with the longest comment (255 bytes, XT_MAX_COMMENT_LEN) and long matches stays far below this. */
const MAX_STATEMENT = 16_384;

/**
 * Statements of an iptables-save output: lines, but a quoted text (a comment) may hold newlines. A quote that is never
 * closed ends with its line: that one is unreadable, the lines after it are not swallowed.
 */
export function splitStatements(text: string): string[] {
  const statements: string[] = [];
  let start = 0;
  while (start < text.length) {
    const end = findEnd(text, start);
    const statement = text.slice(start, end);
    if (statement.trim() !== "") statements.push(statement);
    start = end + 1;
  }
  return statements;
}

/** Index of the newline that ends the statement, or of the text's end. */
function findEnd(text: string, start: number): number {
  const newline = text.indexOf("\n", start);
  const line = newline < 0 ? text.length : newline;
  if (!hasOpenQuote(text.slice(start, line))) return line;
  const { open, end } = scan(text.slice(start, start + MAX_STATEMENT), true);
  return open ? line : start + end;
}

export function hasOpenQuote(statement: string): boolean {
  return scan(statement).open;
}

/** Words of a statement, quotes and their escapes taken off. A quote counts only at the start of a word. */
export function splitQuoted(statement: string): string[] {
  return scan(statement).words;
}

type Scan = { readonly words: string[]; readonly open: boolean; readonly end: number };

/** Reads words up to the end of the text, or to the first newline outside of quotes. */
function scan(text: string, stopAtNewline = false): Scan {
  const words: string[] = [];
  let index = 0;
  while (index < text.length) {
    const character = text[index] ?? "";
    if (stopAtNewline && character === "\n") break;
    if (isBlank(character)) {
      index += 1;
      continue;
    }
    let word = "";
    if (character === '"') {
      index += 1;
      while (index < text.length && text[index] !== '"') {
        // xtables_save_string escapes quotes and backslashes.
        if (text[index] === "\\") index += 1;
        word += text[index] ?? "";
        index += 1;
      }
      if (index >= text.length) return { words: [...words, word], open: true, end: index };
      index += 1;
    } else {
      const start = index;
      while (index < text.length && !isBlank(text[index] ?? "")) index += 1;
      word = text.slice(start, index);
    }
    words.push(word);
  }
  return { words, open: false, end: index };
}

function isBlank(character: string): boolean {
  return character === " " || character === "\t" || character === "\n" || character === "\r";
}
