import {
  CLOSE,
  CLOSE_LIST,
  COLON,
  COMMA,
  OPEN,
  OPEN_LIST,
  QUOTE,
  expect,
  peek,
  readString,
  skipSpace,
  take,
  unexpected,
  unreadable,
} from "./cursor.ts";
import type { Cursor } from "./cursor.ts";
import { readBare, readRecordText } from "./bare.ts";
import type { Place } from "./bare.ts";
import { readHexNumber, readNumber } from "./number.ts";
import { narrow } from "./key.ts";
import type { Value } from "./message.ts";

// bpftrace nests tuples in tuples as its user writes them, by hand; this only keeps hostile input off the stack.
const DEEPEST = 64;

/**
 * Reads any value. `place` says what ends one that bpftrace did not quote: strftime, cgroup_path, macaddr, pointers,
 * each in some versions; it is read as the text printed. No text at all is null.
 */
export function readValue(cursor: Cursor, place: Place, depth = 0): Value {
  if (depth > DEEPEST) throw unreadable(cursor, "nested too deep");
  skipSpace(cursor);
  const next = peek(cursor);
  if (next === QUOTE) {
    const text = readString(cursor);
    return cursor.quotedIntegers ? readQuotedInteger(text) : text;
  }
  if (next === OPEN_LIST) return readList(cursor, depth);
  if (next === OPEN) return readRecordText(cursor) ?? readObject(cursor, depth);
  const number = readNumber(cursor);
  if (number !== null) return number;
  const text = readBare(cursor, place);
  if (text === "true") return true;
  if (text === "false") return false;
  return text === "" || text === "null" ? null : text;
}

function readList(cursor: Cursor, depth: number): Value[] {
  expect(cursor, OPEN_LIST);
  const list: Value[] = [];
  if (take(cursor, CLOSE_LIST)) return list;
  for (;;) {
    list.push(readValue(cursor, "element", depth + 1));
    if (take(cursor, CLOSE_LIST)) return list;
    // 0.24.0 to 0.24.2 forget the comma between the points of a tseries.
    if (!take(cursor, COMMA) && peek(cursor) !== OPEN) throw unexpected(cursor, "expected , or ]");
  }
}

function readObject(cursor: Cursor, depth: number): Value {
  expect(cursor, OPEN);
  const members: [string, Value][] = [];
  if (take(cursor, CLOSE)) return {};
  for (;;) {
    const name = readString(cursor);
    expect(cursor, COLON);
    members.push([name, readMember(cursor, name, depth + 1)]);
    if (take(cursor, CLOSE)) break;
    expect(cursor, COMMA);
  }
  // fromEntries and not assignment: a member can be called __proto__.
  return Object.fromEntries(members);
}

/** Reads the value of the member `name`, in the base bpftrace wrote it. */
export function readMember(cursor: Cursor, name: string, depth: number): Value {
  if (cursor.hexMembers.includes(name)) {
    // Only the points of a tseries can be negative.
    const number = readHexNumber(cursor, name === "value");
    if (number !== null) return number;
  }
  return readValue(cursor, "member", depth);
}

const LONG_INTEGER = /^-?[1-9]\d{15,19}$/;

/**
 * 0.24 and later quote an integer exactly when a double cannot hold it; so a string of digits that a double can hold is
 * a string. (A real string of the others is indistinguishable; see `Message`.)
 */
function readQuotedInteger(text: string): Value {
  if (text.length < 16 || !LONG_INTEGER.test(text)) return text;
  const value = BigInt(text);
  if (value < -(2n ** 63n) || value >= 2n ** 64n || BigInt(Number(text)) === value) return text;
  return narrow(value);
}
