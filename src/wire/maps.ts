import {
  CLOSE,
  CLOSE_LIST,
  COLON,
  COMMA,
  OPEN,
  OPEN_LIST,
  expect,
  peek,
  readKey,
  readString,
  skipSpace,
  take,
  unreadable,
} from "./cursor.ts";
import type { Cursor } from "./cursor.ts";
import { parseIntegerPart } from "./key.ts";
import type { Bucket, Integer, MapEntry, Message, StatsEntry, Value } from "./message.ts";
import { readHexNumber } from "./number.ts";
import { readMember, readValue } from "./value.ts";

/** Reads `{"@name": VALUE}` or `{"@name": {"key": VALUE, ...}}`, the `data` of a map, hist or stats record. */
function readNamed<T>(
  cursor: Cursor,
  readOne: () => T,
): { name: string; entries: { key: string | null; value: T }[] } {
  expect(cursor, OPEN);
  const name = readString(cursor);
  expect(cursor, COLON);
  skipSpace(cursor);
  const entries = peek(cursor) === OPEN ? readEntries(cursor, readOne) : [{ key: null, value: readOne() }];
  expect(cursor, CLOSE);
  return { name, entries };
}

/** Reads `{"key": VALUE, ...}`: in order, and every entry of a key that comes twice. */
function readEntries<T>(cursor: Cursor, readOne: () => T): { key: string; value: T }[] {
  expect(cursor, OPEN);
  const entries: { key: string; value: T }[] = [];
  if (take(cursor, CLOSE)) return entries;
  for (;;) {
    skipSpace(cursor);
    const key = readKey(cursor);
    expect(cursor, COLON);
    entries.push({ key, value: readOne() });
    if (take(cursor, CLOSE)) return entries;
    expect(cursor, COMMA);
  }
}

/** Any object is read as a map with keys: a map whose one value is a struct prints the same. */
export function readMap(cursor: Cursor): Message {
  const { name, entries } = readNamed<Value>(cursor, () => readValue(cursor, "member", 1));
  return { kind: "map", name, entries: entries satisfies MapEntry[] };
}

export function readHist(cursor: Cursor): Message {
  const { name, entries } = readNamed(cursor, () => readBuckets(cursor));
  return { kind: "hist", name, entries: entries.map(({ key, value }) => ({ key, buckets: value })) };
}

function readBuckets(cursor: Cursor): Bucket[] {
  skipSpace(cursor);
  // Before 0.16 an empty histogram is no text at all.
  if (peek(cursor) === CLOSE || peek(cursor) === COMMA) return [];
  expect(cursor, OPEN_LIST);
  const buckets: Bucket[] = [];
  if (take(cursor, CLOSE_LIST)) return buckets;
  for (;;) {
    buckets.push(readBucket(cursor));
    if (take(cursor, CLOSE_LIST)) return buckets;
    expect(cursor, COMMA);
  }
}

function readBucket(cursor: Cursor): Bucket {
  expect(cursor, OPEN);
  let min: Integer | null = null;
  let max: Integer | null = null;
  let count: Integer | null = null;
  do {
    const name = readString(cursor);
    expect(cursor, COLON);
    if (name === "min") min = readInteger(cursor);
    else if (name === "max") max = readInteger(cursor);
    else if (name === "count") count = readHexNumber(cursor) ?? readInteger(cursor);
    else throw unreadable(cursor, "unknown member of a histogram bucket");
  } while (take(cursor, COMMA));
  expect(cursor, CLOSE);
  if (count === null) throw unreadable(cursor, "histogram bucket without a count");
  // Before 0.20 the bounds are ints, and log2() sends every value from 2^31 up to this bucket (CHANGELOG of 0.20:
  // "Fix silent truncation of 64-bit values in hist()"), whatever its printed bounds say.
  return min === -(2 ** 31) && max === 0 ? { min: 2 ** 31, max: null, count } : { min, max, count };
}

/** An integer, quoted or not: 0.24 and later quote the bounds beyond 2^53. */
function readInteger(cursor: Cursor): Integer {
  const value = readValue(cursor, "member", 1);
  const integer = typeof value === "string" ? parseIntegerPart(value) : value;
  if (typeof integer === "bigint" || (typeof integer === "number" && Number.isInteger(integer)))
    return integer;
  throw unreadable(cursor, "expected an integer before the text");
}

export function readStats(cursor: Cursor): Message {
  expect(cursor, OPEN);
  const name = readString(cursor);
  expect(cursor, COLON);
  skipSpace(cursor);
  const entries = peek(cursor) === OPEN ? readStatsObject(cursor) : [average(null, readInteger(cursor))];
  expect(cursor, CLOSE);
  return { kind: "stats", name, entries };
}

const STATS_MEMBERS = "count,average,total";

/**
 * One `stats()` and an `avg()` per key are both an object of integers. The three names in their order are taken for the
 * former, so an `avg()` keyed by hostile text should have a number in its key.
 */
function readStatsObject(cursor: Cursor): StatsEntry[] {
  const members = readEntries(cursor, () => readMember(cursor, "", 1));
  if (members.map(({ key }) => key).join(",") === STATS_MEMBERS) {
    const [count, mean, total] = members.map(({ value }) => toInteger(value));
    if (count !== undefined && count !== null) {
      return [{ key: null, count, average: mean ?? null, total: total ?? null }];
    }
  }
  return members.map(({ key, value }) => {
    const integer = toInteger(value);
    if (integer !== null) return average(key, integer);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw unreadable(cursor, "expected statistics before the text");
    }
    return {
      key,
      count: toInteger(value["count"]),
      average: toInteger(value["average"]),
      total: toInteger(value["total"]),
    };
  });
}

function average(key: string | null, value: Integer): StatsEntry {
  return { key, count: null, average: value, total: null };
}

function toInteger(value: Value | undefined): Integer | null {
  return typeof value === "number" || typeof value === "bigint" ? value : null;
}
