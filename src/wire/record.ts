import { CLOSE, COLON, COMMA, expect, readString, take, unreadable } from "./cursor.ts";
import type { Cursor } from "./cursor.ts";
import { readHist, readMap, readStats } from "./maps.ts";
import type { Message, Value } from "./message.ts";
import { readMember, readValue } from "./value.ts";

type Fields = { [name: string]: Value };

const TEXT_TYPES: readonly string[] = ["printf", "time", "cat", "join", "syscall"];
const RUNTIME_TYPES: readonly string[] = ["helper_error", "runtime_error", "errorf", "warnf"];

/** Members whose numbers 0.24 and later print in the stream's base (src/output/json.cpp: `out << lost`, `out << value`). */
const HEX_MEMBERS: { readonly [type: string]: readonly string[] } = {
  attached_probes: ["count", "probes"],
  lost_events: ["count", "events"],
  tseries: ["value"],
};

/** Reads the record at the cursor, `{"type": TYPE, ...}`, and leaves the cursor behind it. */
export function readRecord(cursor: Cursor): Message {
  const type = readType(cursor);
  cursor.hexMembers = Object.hasOwn(HEX_MEMBERS, type) ? (HEX_MEMBERS[type] ?? []) : [];
  const fields: [string, Value][] = [];
  let payload: Message | null = null;
  while (take(cursor, COMMA)) {
    const name = readString(cursor);
    expect(cursor, COLON);
    if (name === "data" && type === "map") payload = readMap(cursor);
    else if (name === "data" && type === "hist") payload = readHist(cursor);
    else if (name === "data" && type === "stats") payload = readStats(cursor);
    else if (name === "data" && TEXT_TYPES.includes(type))
      payload = { kind: "text", text: readString(cursor) };
    else if (name === "data" && type === "value")
      payload = { kind: "value", value: readValue(cursor, "record") };
    else fields.push([name, readMember(cursor, name, 1)]);
  }
  expect(cursor, CLOSE);
  return payload ?? toMessage(cursor, type, Object.fromEntries(fields));
}

function readType(cursor: Cursor): string {
  cursor.position += 1;
  if (readString(cursor) !== "type") throw unreadable(cursor, "expected a type");
  expect(cursor, COLON);
  return readString(cursor);
}

function toMessage(cursor: Cursor, type: string, fields: Fields): Message {
  if (type === "attached_probes" || type === "lost_events") {
    // This member came with 0.24, and the sticky base with it.
    if (cursor.stickyHex === null && "count" in fields) cursor.stickyHex = true;
    return toCount(cursor, type, fields);
  }
  if (RUNTIME_TYPES.includes(type)) return toRuntime(type, fields);
  if (
    type === "map" ||
    type === "hist" ||
    type === "stats" ||
    type === "value" ||
    TEXT_TYPES.includes(type)
  ) {
    throw unreadable(cursor, `${type} without data`);
  }
  const { data, ...others } = fields;
  if (data === undefined) return { kind: "unknown", type, value: others };
  return { kind: "unknown", type, value: Object.keys(others).length === 0 ? data : fields };
}

function toCount(cursor: Cursor, type: string, fields: Fields): Message {
  const data = fields["data"];
  // Up to 0.23 this type also says "out of watchpoint registers".
  if (typeof data === "string") {
    return { kind: "runtime", message: data, helper: null, retcode: null, line: null, column: null };
  }
  const inner = typeof data === "object" && data !== null && !Array.isArray(data) ? data : {};
  const count = type === "lost_events" ? inner["events"] : inner["probes"];
  if (typeof count !== "number" && typeof count !== "bigint")
    throw unreadable(cursor, `${type} without a number`);
  return type === "lost_events"
    ? { kind: "lost", events: Number(count) }
    : { kind: "attached", probes: Number(count) };
}

/** `msg` came with 0.20; what it says changes between versions, `helper` and `retcode` do not. */
function toRuntime(type: string, fields: Fields): Message {
  const helper = toText(fields["helper"]);
  const retcode = toNumber(fields["retcode"]);
  const fallback = helper === null ? type : `${helper} failed with ${retcode ?? "no return code"}`;
  return {
    kind: "runtime",
    message: (toText(fields["msg"]) ?? fallback).trimEnd(),
    helper,
    retcode,
    line: toNumber(fields["line"]),
    column: toNumber(fields["col"]),
  };
}

/** A bigint is a text of digits here (see `Message`). */
function toText(value: Value | undefined): string | null {
  if (typeof value === "bigint") return value.toString();
  return typeof value === "string" ? value : null;
}

function toNumber(value: Value | undefined): number | null {
  return typeof value === "number" ? value : null;
}
