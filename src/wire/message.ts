/** An integer exactly as bpftrace counted it: a bigint beyond 2^53, a number below. */
export type Integer = number | bigint;
export type Scalar = number | bigint | string | boolean | null;
export type Value = Scalar | Value[] | { [key: string]: Value };

/** `key` is null for a map without keys (`@x = 1`), else the text bpftrace printed, after repair (see decode.ts). */
export interface MapEntry {
  key: string | null;
  value: Value;
}

/**
 * Bounds are inclusive. `min` null: everything below; `max` null: everything above. bpftrace before 0.20 puts every
 * value of 2^31 and more into one last bucket, so scale nanoseconds down before `hist()` there.
 */
export interface Bucket {
  min: Integer | null;
  max: Integer | null;
  count: Integer;
}

export interface HistEntry {
  key: string | null;
  buckets: Bucket[];
}

/** `avg()` knows only `average`; `stats()` knows all three. */
export interface StatsEntry {
  key: string | null;
  count: Integer | null;
  average: Integer | null;
  total: Integer | null;
}

/**
 * One thing bpftrace said on stdout. Entries keep their order and their duplicate keys: user stacks of forked
 * processes print the same key several times, and their values have to be added.
 *
 * Up to 0.23 `attached` is printed before the probes are attached; only `ready` (asked for with
 * `__BPFTRACE_NOTIFY_PROBES_ATTACHED=1`; on stdout from 0.23, on stderr before) always means "counting".
 *
 * From 0.24 on an integer that a double cannot hold comes quoted, exactly like a string of the same digits; it is read
 * as a bigint, so a column of free text is `String(value)`, which gives back the digits printed.
 */
export type Message =
  | { kind: "attached"; probes: number }
  | { kind: "ready" }
  | { kind: "text"; text: string }
  | { kind: "value"; value: Value }
  | { kind: "map"; name: string; entries: MapEntry[] }
  | { kind: "hist"; name: string; entries: HistEntry[] }
  | { kind: "stats"; name: string; entries: StatsEntry[] }
  | { kind: "lost"; events: number }
  | {
      kind: "runtime";
      message: string;
      helper: string | null;
      retcode: number | null;
      line: number | null;
      column: number | null;
    }
  | { kind: "unknown"; type: string; value: Value }
  | { kind: "diagnostic"; text: string }
  | { kind: "malformed"; text: string; why: string };

const E2BIG = 7;

/** True for "the map has no room for this key". The wording differs per version; helper and return code do not. */
export function isMapFull(message: Message): boolean {
  return message.kind === "runtime" && message.helper === "map_update_elem" && message.retcode === -E2BIG;
}
