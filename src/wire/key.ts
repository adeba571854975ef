import type { Integer } from "./message.ts";

/**
 * Splits a map key of `parts` parts. bpftrace joins them with bare commas, so only the last part may be free text: it
 * keeps whatever commas it has. Null when there are fewer parts than asked for. Parts are not checked further: give
 * each numeric one to `parseIntegerPart`.
 */
export function splitKey(key: string, parts: number): string[] | null {
  const found: string[] = [];
  let start = 0;
  while (found.length < parts - 1) {
    const comma = key.indexOf(",", start);
    if (comma < 0) return null;
    found.push(key.slice(start, comma));
    start = comma + 1;
  }
  found.push(key.slice(start));
  return found;
}

// 20 decimal digits hold every 64-bit integer, 16 hex digits as well.
const DECIMAL = /^-?\d{1,20}$/;
const HEX = /^0x[0-9a-f]{1,16}$/i;

/**
 * An integer part of a key: decimal, negative, or a pointer in hex (`0xffffffff82033a51`; decimal in 0.22 and 0.23).
 * Exact: a bigint beyond 2^53. Null when the text is anything else.
 */
export function parseIntegerPart(text: string): Integer | null {
  if (text.length < 15 && DECIMAL.test(text)) return text === "-0" ? 0 : Number(text);
  if (DECIMAL.test(text) || HEX.test(text)) return narrow(BigInt(text));
  return null;
}

/** A number where that is exact, else the bigint. */
export function narrow(value: bigint): Integer {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
