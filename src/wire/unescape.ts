const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

/** What a one-letter JSON escape stands for, by its code; bpftrace writes \" \\ \n \r \t. */
const SIMPLE = new Map<number, number>([
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0x2f, 0x2f],
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);

/**
 * Undoes JSON escapes, bytes to bytes. Two things are not JSON:
 *
 * - On hosts where `char` is signed (x86), bpftrace 0.17 and later write a byte >= 0x80 as a sign-extended int:
 *   `\uffffffc3`. It is that one byte again here, so that the caller can decode the UTF-8 the traced system wrote.
 * - An escape nobody defined stays as it was printed: nothing is lost, and a bad escape in one key of a map does not cost
 *   the other keys.
 */
export function unescapeBytes(source: Buffer, start: number, end: number): Buffer {
  // No escape is shorter than what it stands for.
  const target = Buffer.allocUnsafe(end - start);
  let length = 0;
  let i = start;
  while (i < end) {
    const byte = source[i] ?? 0;
    if (byte !== BACKSLASH || i + 1 >= end) {
      target[length++] = byte;
      i += 1;
      continue;
    }
    const letter = source[i + 1] ?? 0;
    const simple = SIMPLE.get(letter);
    if (simple !== undefined) {
      target[length++] = simple;
      i += 2;
      continue;
    }
    const code = letter === LETTER_U ? readHex(source, i + 2, end, 4) : -1;
    if (code < 0) {
      target[length++] = byte;
      i += 1;
      continue;
    }
    const raw = code === 0xffff ? readHex(source, i + 6, end, 4) : -1;
    if (raw >= 0xff80) {
      target[length++] = raw & 0xff;
      i += 10;
      continue;
    }
    const low = code >= 0xd800 && code < 0xdc00 ? readLowSurrogate(source, i + 6, end) : -1;
    const point = low < 0 ? code : 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    length += target.write(String.fromCodePoint(point), length, "utf8");
    i += low < 0 ? 6 : 12;
  }
  return target.subarray(0, length);
}

function readLowSurrogate(source: Buffer, at: number, end: number): number {
  if (source[at] !== BACKSLASH || source[at + 1] !== LETTER_U) return -1;
  const code = readHex(source, at + 2, end, 4);
  return code >= 0xdc00 && code < 0xe000 ? code : -1;
}

/** `digits` hex digits at `at` as a number, -1 when there are not that many before `end`. */
function readHex(source: Buffer, at: number, end: number, digits: number): number {
  if (at + digits > end) return -1;
  let value = 0;
  for (let i = at; i < at + digits; i++) {
    const digit = hexDigit(source[i] ?? 0);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** 0 to 15, or -1 for a byte that is no hex digit. */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
