import { atDelimiter, skipSpace } from "./cursor.ts";
import type { Cursor } from "./cursor.ts";
import { narrow } from "./key.ts";
import type { Integer } from "./message.ts";
import { hexDigit } from "./unescape.ts";

const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
/** Every integer of so many digits is exact as a double. */
const EXACT_DIGITS = 15;
/** 2^64 has 20 digits; bpftrace never prints more. */
const MOST_DIGITS = 20;
const FLOAT = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?$/i;
const LONGEST_FLOAT = 32;

/**
 * Reads the number at the cursor. Null, with the cursor unmoved, when there is none: also for text that starts with
 * digits (`2026-11-22 20:28:28`, `0xffff8881`, `07`).
 */
export function readNumber(cursor: Cursor): Integer | null {
  skipSpace(cursor);
  const { bytes, end, position } = cursor;
  const negative = bytes[position] === MINUS;
  const start = negative ? position + 1 : position;
  let value = 0;
  let i = start;
  for (; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < ZERO || byte > NINE) break;
    value = value * 10 + (byte - ZERO);
  }
  const digits = i - start;
  if (digits === 0 || (digits > 1 && bytes[start] === ZERO)) return null;
  if (!atDelimiter(cursor, i)) return readFloat(cursor, i);
  if (digits > MOST_DIGITS) return null;
  cursor.position = i;
  if (digits > EXACT_DIGITS) return narrow(BigInt(bytes.toString("latin1", position, i)));
  return negative && value !== 0 ? -value : value;
}

function readFloat(cursor: Cursor, from: number): number | null {
  let i = from;
  while (i < cursor.end && !atDelimiter(cursor, i)) {
    i += 1;
    if (i - cursor.position > LONGEST_FLOAT) return null;
  }
  const text = cursor.bytes.toString("latin1", cursor.position, i);
  if (!FLOAT.test(text)) return null;
  const value = Number(text);
  if (!Number.isFinite(value)) return null;
  cursor.position = i;
  return value;
}

/**
 * Reads an integer that bpftrace 0.24 and later print through a stream whose base is hexadecimal once a `\u` escape has
 * gone through it: counts of histograms, lost events, attached probes, points of a tseries. `1a` is 26, and `64` is 100 if
 * such an escape came before. A letter is proof enough when the stream was not seen from its start.
 *
 * Null, with the cursor unmoved, when the number is to be read as any other.
 */
export function readHexNumber(cursor: Cursor, signed = false): Integer | null {
  if (cursor.stickyHex === false) return null;
  skipSpace(cursor);
  const start = cursor.position;
  let i = start;
  let letters = false;
  for (; i < cursor.end; i++) {
    const byte = cursor.bytes[i] ?? 0;
    const digit = hexDigit(byte);
    if (digit < 0) break;
    letters ||= digit > 9;
  }
  const digits = i - start;
  if (digits === 0 || digits > 16 || !atDelimiter(cursor, i)) return null;
  if (letters) {
    cursor.stickyHex = true;
    cursor.unicodeEscapeSeen = true;
  }
  if (cursor.stickyHex !== true || !cursor.unicodeEscapeSeen) return null;
  cursor.position = i;
  const value = BigInt(`0x${cursor.bytes.toString("latin1", start, i)}`);
  return narrow(signed ? BigInt.asIntN(64, value) : value);
}
