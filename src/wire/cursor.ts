import type { Buffer } from "node:buffer";
import { unescapeBytes } from "./unescape.ts";

/**
 * Where a reader stands in one line. The bytes are read in place: a line can be many MB, and text taken out of it is
 * copied, so that keeping one key does not keep the line.
 */
export interface Cursor {
  readonly bytes: Buffer;
  readonly end: number;
  position: number;
  /** Keys of maps are escaped twice (0.22 and 0.23). */
  readonly doubleEscapedKeys: boolean;
  /** bpftrace quotes integers that a double cannot hold (0.24 and later). */
  readonly quotedIntegers: boolean;
  /** A `\u` escape was read, in this line or before: from 0.24 on some later numbers are hexadecimal. */
  unicodeEscapeSeen: boolean;
  /** Whether such numbers are to be read as hexadecimal: true, false, or null when the version is not known. */
  stickyHex: boolean | null;
  /** Names of the members whose numbers bpftrace writes with the stream's own base (see `stickyHex`). */
  hexMembers: readonly string[];
}

/** A line that looked like a record and is none. Never leaves this folder. */
export class Unreadable extends Error {}

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_LIST = 0x5b;
export const CLOSE_LIST = 0x5d;
export const OPEN = 0x7b;
export const CLOSE = 0x7d;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const SPACE = 0x20;

/** The byte at the cursor, -1 at the end of the line. */
export function peek(cursor: Cursor): number {
  return cursor.position < cursor.end ? (cursor.bytes[cursor.position] ?? -1) : -1;
}

export function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= 0x09 && byte <= 0x0d);
}

export function skipSpace(cursor: Cursor): void {
  while (isSpace(peek(cursor))) cursor.position += 1;
}

/** Skips spaces, then `byte` if it comes next; says whether it did. */
export function take(cursor: Cursor, byte: number): boolean {
  skipSpace(cursor);
  if (peek(cursor) !== byte) return false;
  cursor.position += 1;
  return true;
}

export function expect(cursor: Cursor, byte: number): void {
  if (!take(cursor, byte)) throw unexpected(cursor, `expected ${String.fromCodePoint(byte)}`);
}

/** Something else stands at the cursor, or nothing more: a line cut short is the common damage, so it has its own words. */
export function unexpected(cursor: Cursor, what: string): Unreadable {
  return cursor.position >= cursor.end ? cutOff() : unreadable(cursor, what);
}

/** What stands before the cursor makes no sense. */
export function unreadable(cursor: Cursor, what: string): Unreadable {
  return new Unreadable(`${what} at byte ${cursor.position}`);
}

export function cutOff(): Unreadable {
  return new Unreadable("the line is cut off");
}

/** True when, spaces aside, a delimiter comes next from `position` on. */
export function atDelimiter(cursor: Cursor, position: number): boolean {
  let i = position;
  while (i < cursor.end && isSpace(cursor.bytes[i] ?? 0)) i += 1;
  const byte = cursor.bytes[i];
  return i < cursor.end && (byte === COMMA || byte === CLOSE || byte === CLOSE_LIST);
}

/** Text of the bytes from `start` to `end`: UTF-8, U+FFFD for what is none. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("utf8", start, end);
}

/** Reads the quoted string at the cursor. */
export function readString(cursor: Cursor): string {
  return readQuoted(cursor, false);
}

/** Reads the quoted key of a map entry. */
export function readKey(cursor: Cursor): string {
  return readQuoted(cursor, cursor.doubleEscapedKeys);
}

function readQuoted(cursor: Cursor, twice: boolean): string {
  expect(cursor, QUOTE);
  const bytes = cursor.bytes;
  const end = cursor.end;
  const start = cursor.position;
  let seen = 0;
  let escaped = false;
  let i = start;
  for (; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === QUOTE) break;
    seen |= byte;
    if (byte !== BACKSLASH) continue;
    escaped = true;
    i += 1;
    if (bytes[i] === LETTER_U) cursor.unicodeEscapeSeen = true;
  }
  if (i >= end) throw cutOff();
  cursor.position = i + 1;
  // All bytes below 0x80: a plain copy is several times quicker than decoding UTF-8.
  if (!escaped) return seen < 0x80 ? bytes.toString("latin1", start, i) : textOf(bytes, start, i);
  let plain = unescapeBytes(bytes, start, i);
  if (twice) plain = unescapeBytes(plain, 0, plain.length);
  return textOf(plain, 0, plain.length);
}
