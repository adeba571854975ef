import {
  CLOSE,
  CLOSE_LIST,
  COMMA,
  OPEN,
  QUOTE,
  cutOff,
  isSpace,
  skipSpace,
  textOf,
  unreadable,
} from "./cursor.ts";
import type { Cursor } from "./cursor.ts";

/**
 * Where an unquoted text stands: as the whole of a record (`{"type": "value", "data": HERE}`), as a member of an object,
 * or as an element of a tuple. Each ends in its own way.
 */
export type Place = "record" | "member" | "element";

const DOT = 0x2e;
const SLASH = 0x2f;

/**
 * Reads text that bpftrace did not quote, as printed. Seen: strerror and cgroup_path (before 0.20), strftime (before
 * 0.22), macaddr (before 0.24). Such text may hold commas and colons, so its end is found by what can follow it.
 */
export function readBare(cursor: Cursor, place: Place): string {
  skipSpace(cursor);
  const start = cursor.position;
  const end = place === "record" ? findRecordEnd(cursor) : findPartEnd(cursor, place);
  cursor.position = end;
  return textOf(cursor.bytes, start, end).trimEnd();
}

/** The value of a record ends at the last brace of the line. */
function findRecordEnd(cursor: Cursor): number {
  const last = cursor.bytes.lastIndexOf(CLOSE, cursor.end - 1);
  if (last < cursor.position) throw cutOff();
  return last;
}

function findPartEnd(cursor: Cursor, place: Place): number {
  const { bytes, end } = cursor;
  for (let i = cursor.position; i < end; i++) {
    const byte = bytes[i];
    // None of these texts holds a quote: this is a damaged record.
    if (byte === QUOTE) throw unreadable(cursor, "text without quotes");
    if (byte === CLOSE || byte === CLOSE_LIST) return i;
    if (byte === COMMA && (place === "member" ? endsMember(cursor, i) : endsElement(cursor, i))) return i;
  }
  throw cutOff();
}

/** After a member comes the quote of the next name. */
function endsMember(cursor: Cursor, comma: number): boolean {
  let i = comma + 1;
  while (i < cursor.end && isSpace(cursor.bytes[i] ?? 0)) i += 1;
  return cursor.bytes[i] === QUOTE;
}

/** Elements are joined without a space; and one cgroup path names every hierarchy: `unified:/a,cpu:/b`. */
function endsElement(cursor: Cursor, comma: number): boolean {
  if (isSpace(cursor.bytes[comma + 1] ?? 0)) return false;
  const next = cursor.bytes.subarray(comma + 1, Math.min(comma + 40, cursor.end));
  const slash = next.indexOf(SLASH);
  return slash < 0 || !/^[A-Za-z_=][\w.=-]*:$/.test(next.toString("latin1", 0, slash));
}

/** Reads a struct as printed before 0.13, `{ .pid = 1, .comm = x }`; null, cursor unmoved, when it is no such thing. */
export function readRecordText(cursor: Cursor): string | null {
  const { bytes, position, end } = cursor;
  let first = position + 1;
  while (first < end && isSpace(bytes[first] ?? 0)) first += 1;
  if (bytes[first] !== DOT) return null;
  let depth = 0;
  for (let i = position; i < end; i++) {
    if (bytes[i] === OPEN) depth += 1;
    if (bytes[i] === CLOSE) depth -= 1;
    if (depth > 0) continue;
    cursor.position = i + 1;
    return textOf(bytes, position, i + 1);
  }
  throw cutOff();
}
