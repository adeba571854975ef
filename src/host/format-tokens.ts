/** One token of the `print fmt:` line of a tracepoint's format file: C, as the kernel's preprocessor left it. */
export type Token =
  | { readonly kind: "number"; readonly value: bigint }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "name"; readonly value: string }
  | { readonly kind: "mark"; readonly value: string };

const TOKEN =
  /\s+|"((?:[^"\\]|\\[^])*)"|(0[xX][0-9a-fA-F]+|\d+)[uUlL]*|([A-Za-z_]\w*)|(<<|>>|->|[^\s\w"])|(")|([^])/gy;

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", "0": "\0", r: "\r" };

/** Splits a `print fmt:` line. What fits nowhere (an open string) becomes a mark, so nothing is thrown away. */
export function splitTokens(text: string): Token[] {
  const tokens: Token[] = [];
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, number, name] = match;
    if (string !== undefined) tokens.push({ kind: "string", value: unescapeC(string) });
    else if (number !== undefined) tokens.push({ kind: "number", value: parseCNumber(number) });
    else if (name !== undefined) tokens.push({ kind: "name", value: name });
    else if (whole.trim() !== "") tokens.push({ kind: "mark", value: whole });
  }
  return tokens;
}

function unescapeC(text: string): string {
  return text.replaceAll(/\\([^])/g, (_, character: string) => ESCAPES[character] ?? character);
}

/** Decimal, hexadecimal, or octal as in C ("0100" is 64); "09" is no octal number and read as decimal. */
function parseCNumber(text: string): bigint {
  return BigInt(/^0[0-7]+$/.test(text) ? `0o${text.slice(1)}` : text);
}
