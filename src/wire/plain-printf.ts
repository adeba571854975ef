import type { Buffer } from "node:buffer";

const START = '{"type": "printf", "data": "';
const END = '"}';
const START_BYTES = new TextEncoder().encode(START);
/** ASCII, and of escapes only those that JSON and bpftrace mean alike: no bytes >= 0x80, no `\\u` (see `unescapeBytes`). */
const PLAIN = /^(?:[ !#-[\]-~]|\\["\\/bfnrt])*$/;

/**
 * The text of a line that is one printf record and holds nothing special, else null: the record is to be read the long way. Samples
 * come as such lines, thousands a second, and this takes a quarter of the time.
 */
export function readPlainPrintf(line: Buffer): string | null {
  const end = line.length - END.length;
  if (end < START.length || line[end] !== 0x22 || line[end + 1] !== 0x7d) return null;
  for (let i = 0; i < START.length; i++) if (line[i] !== START_BYTES[i]) return null;
  const quoted = line.toString("latin1", START.length - 1, end + 1);
  const inner = quoted.slice(1, -1);
  return PLAIN.test(inner) ? (JSON.parse(quoted) as string) : null;
}
