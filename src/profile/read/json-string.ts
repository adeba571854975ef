const BACKSLASH = 92;
const SIMPLE: Record<number, number | undefined> = { 98: 8, 102: 12, 110: 10, 114: 13, 116: 9 };

/**
 * Undoes the escapes of a JSON string into `target` (at least as long as the source). Returns the length. bpftrace writes
 * a byte ≥ 0x80 as `\uffffffXX`: that is the byte again. A broken escape stays as it is.
 */
export function unescapeJson(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let length = 0;
  for (let place = start; place < end;) {
    const byte = source[place] ?? 0;
    if (byte !== BACKSLASH || place + 1 >= end) {
      target[length++] = byte;
      place += 1;
      continue;
    }
    const letter = source[place + 1] ?? 0;
    if (letter === 117) {
      const signed =
        readHex(source, place + 2, 6, end) === 0xffffff ? readHex(source, place + 8, 2, end) : -1;
      const code = signed >= 0x80 ? -1 : readHex(source, place + 2, 4, end);
      if (signed >= 0x80) target[length++] = signed;
      else if (code >= 0) length = writeCodePoint(target, length, code);
      else target[length++] = BACKSLASH;
      place += signed >= 0x80 ? 10 : code >= 0 ? 6 : 1;
    } else {
      target[length++] = SIMPLE[letter] ?? letter;
      place += 2;
    }
  }
  return length;
}

/** The same as a string. */
export function decodeJsonString(source: Uint8Array, start: number, end: number): string {
  const raw = Buffer.from(source.buffer, source.byteOffset + start, end - start);
  const text = raw.toString("utf8");
  if (!text.includes("\\")) return text;
  try {
    const value: unknown = JSON.parse(`"${text}"`);
    if (typeof value === "string") return value;
  } catch {
    // No legal JSON string: the lenient way.
  }
  const target = Buffer.alloc(end - start);
  return target.toString("utf8", 0, unescapeJson(source, start, end, target));
}

function readHex(source: Uint8Array, start: number, digits: number, end: number): number {
  if (start + digits > end) return -1;
  let value = 0;
  for (let place = start; place < start + digits; place++) {
    const digit = parseInt(String.fromCharCode(source[place] ?? 0), 16);
    if (Number.isNaN(digit)) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** At most three bytes for six of the escape: a surrogate becomes three bytes that are no UTF-8 and print as U+FFFD. */
function writeCodePoint(target: Uint8Array, length: number, code: number): number {
  if (code < 0x80) {
    target[length] = code;
    return length + 1;
  }
  if (code < 0x800) {
    target[length] = 0xc0 | (code >> 6);
    target[length + 1] = 0x80 | (code & 63);
    return length + 2;
  }
  target[length] = 0xe0 | (code >> 12);
  target[length + 1] = 0x80 | ((code >> 6) & 63);
  target[length + 2] = 0x80 | (code & 63);
  return length + 3;
}
