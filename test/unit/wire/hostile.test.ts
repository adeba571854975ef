import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Message } from "../../../src/wire/message.ts";
import { VERSIONS, decodeLines, entriesOf, ofKind, readLines } from "./recording.ts";

const KINDS = [
  "attached",
  "ready",
  "text",
  "value",
  "map",
  "hist",
  "stats",
  "lost",
  "runtime",
  "unknown",
  "diagnostic",
  "malformed",
];
const OUTS = [
  "aggs",
  "bytes",
  "integers",
  "keys",
  "lost",
  "print_tuple",
  "sticky_hex",
  "ustack_perf",
  "weird_comm",
];

const version = fc.constantFrom(...VERSIONS, "0.22.0", "0.24.0", null);
const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
/** Bytes a parser trips over more often than over random ones. */
const pieces = fc.array(
  fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "\\u",
    "ffffffc3",
    "1",
    "-",
    "0x1",
    ".",
    " ",
    "a",
    "\u0000",
    "é",
    "\n",
    '"min"',
    '"count"',
    "null",
  ),
  {
    maxLength: 30,
  },
);
const start = fc.constantFrom(
  "",
  '{"type": ',
  '{"type": "',
  ...[
    "map",
    "hist",
    "stats",
    "value",
    "printf",
    "tseries",
    "lost_events",
    "attached_probes",
    "helper_error",
    "other",
  ].flatMap((type) => [
    `{"type": "${type}"`,
    `{"type": "${type}", "data": `,
    `{"type": "${type}", "data": {"@a": `,
    `{"type": "${type}", "data": {"@a": {"k": `,
    `{"type": "${type}", "data": {"@a": [{"min": `,
  ]),
);

/** What is wrong with these messages, whatever the line was; null when nothing is. */
function findFault(messages: readonly Message[]): string | null {
  for (const message of messages) {
    const fault = findFaultOf(message);
    if (fault !== null) return `${message.kind}: ${fault}`;
  }
  return null;
}

function findFaultOf(message: Message): string | null {
  if (!KINDS.includes(message.kind)) return "no such kind";
  if (message.kind === "malformed")
    return message.text.length > 200 || message.why === "" ? "text or reason" : null;
  if (message.kind === "diagnostic") return message.text.trim() === "" ? "blank" : null;
  if (message.kind === "lost") return Number.isInteger(message.events) ? null : "events";
  if (message.kind === "attached") return Number.isInteger(message.probes) ? null : "probes";
  if (message.kind !== "hist") return null;
  const counts = message.entries.flatMap(({ buckets }) => buckets.map(({ count }) => count));
  return counts.every((count) => typeof count === "bigint" || Number.isInteger(count)) ? null : "count";
}

describe("no line throws", () => {
  test("random bytes, alone and behind the start of a record", () => {
    fc.assert(
      fc.property(version, start, bytes, (v, prefix, tail) => {
        expect(findFault(decodeLines(v, Buffer.concat([Buffer.from(prefix), tail])))).toBeNull();
      }),
      { numRuns: 2000 },
    );
  });

  test("pieces of records in any order", () => {
    fc.assert(
      fc.property(version, start, pieces, (v, prefix, tail) => {
        expect(findFault(decodeLines(v, prefix + tail.join("")))).toBeNull();
      }),
      { numRuns: 3000 },
    );
  });

  test("recordings with bytes changed, inserted or deleted", () => {
    const lines = VERSIONS.flatMap((v) =>
      OUTS.flatMap((name) => readLines(v, `${name}.out`).map((line) => ({ v, line }))),
    ).filter(({ line }) => line.length > 0);
    const edit = fc.record({ at: fc.nat(), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) });
    fc.assert(
      fc.property(
        fc.constantFrom(...lines),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        ({ v, line }, edits) => {
          let damaged = line;
          for (const { at, remove, insert } of edits) {
            const where = at % (damaged.length + 1);
            damaged = Buffer.concat([damaged.subarray(0, where), insert, damaged.subarray(where + remove)]);
          }
          expect(findFault(decodeLines(v, damaged))).toBeNull();
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("a record that was cut off is never taken for one", () => {
    for (const v of VERSIONS) {
      for (const name of OUTS) {
        const records = readLines(v, `${name}.out`).filter(
          (line) => line.subarray(0, 7).toString() === '{"type"',
        );
        expect(records.length).toBeGreaterThan(0);
        for (const line of records) {
          const length = Math.min(line.length, 400);
          for (let cut = 8; cut < length; cut++) {
            const kinds = decodeLines(v, line.subarray(0, cut)).map(({ kind }) => kind);
            expect(kinds).toEqual(["malformed"]);
          }
        }
      }
    }
  });
});

/** What bpftrace's json_escape makes of bytes, where `char` is signed (x86, from 0.17 on) and where they stay raw. */
function escape(text: Buffer, raw: boolean): Buffer {
  const simple: { [byte: number]: string } = {
    0x22: '\\"',
    0x5c: "\\\\",
    0x0a: "\\n",
    0x0d: "\\r",
    0x09: "\\t",
  };
  return Buffer.concat(
    Array.from(text, (byte) => {
      const short = simple[byte];
      if (short !== undefined) return Buffer.from(short);
      if (byte >= 0x80 && !raw) return Buffer.from(`\\uffffff${byte.toString(16)}`);
      return byte < 0x20 ? Buffer.from(`\\u${byte.toString(16).padStart(4, "0")}`) : Buffer.of(byte);
    }),
  );
}

/** Any text the traced system can hold: no NUL. */
const cString = fc
  .uint8Array({ maxLength: 40 })
  .map((array) => Buffer.from(array.filter((byte) => byte !== 0)));
const dialect = fc.constantFrom(
  { version: "0.11.3", raw: true, twice: false },
  { version: "0.17.0", raw: false, twice: false },
  { version: "0.21.3", raw: false, twice: false },
  { version: "0.22.1", raw: false, twice: true },
  { version: "0.23.2", raw: false, twice: true },
  { version: "0.23.2", raw: true, twice: true },
  { version: "0.27.0", raw: false, twice: false },
  { version: "0.27.0", raw: true, twice: false },
);

describe("what each version writes is read back", () => {
  test("the bytes of a printf", () => {
    fc.assert(
      fc.property(dialect, cString, ({ version: v, raw }, text) => {
        const line = Buffer.concat([
          Buffer.from('{"type": "printf", "data": "'),
          escape(text, raw),
          Buffer.from('"}'),
        ]);
        expect(decodeLines(v, line)).toEqual([{ kind: "text", text: text.toString("utf8") }]);
      }),
      { numRuns: 2000 },
    );
  });

  test("the keys of a map, in order, duplicates kept", () => {
    fc.assert(
      fc.property(
        dialect,
        fc.array(cString, { minLength: 1, maxLength: 6 }),
        ({ version: v, raw, twice }, keys) => {
          const parts = keys.flatMap((key, i) => {
            const once = escape(key, raw);
            return [
              Buffer.from(i === 0 ? '"' : ', "'),
              twice ? escape(once, raw) : once,
              Buffer.from(`": ${i}`),
            ];
          });
          const line = Buffer.concat([
            Buffer.from('{"type": "map", "data": {"@m": {'),
            ...parts,
            Buffer.from("}}}"),
          ]);
          expect(entriesOf(decodeLines(v, line), "@m")).toEqual(
            keys.map((key, i) => [key.toString("utf8"), i]),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("every 64-bit integer, in tuples and maps", () => {
    const integer = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
      fc.bigInt({ min: -(2n ** 54n), max: 2n ** 54n }),
      fc.integer().map(BigInt),
    );
    fc.assert(
      fc.property(
        fc.constantFrom("0.17.0", "0.23.2", "0.27.0"),
        fc.array(integer, { maxLength: 8 }),
        (v, integers) => {
          const quoted = (value: bigint) =>
            v === "0.27.0" && BigInt(Number(value)) !== value ? `"${value}"` : `${value}`;
          const [read] = ofKind(
            decodeLines(v, `{"type": "value", "data": [${integers.map(quoted).join(",")}]}`),
            "value",
          );
          const exact = integers.map((value) =>
            Number.isSafeInteger(Number(value)) ? Number(value) : value,
          );
          expect(read?.value).toEqual(exact);
          const entries = integers.map((value, i) => `"${i}": ${quoted(value)}`);
          const map = decodeLines(v, `{"type": "map", "data": {"@": {${entries.join(", ")}}}}`);
          expect(entriesOf(map, "@").map(([, value]) => value)).toEqual(exact);
        },
      ),
    );
  });

  test("the counts of a histogram after any text (0.24 and later)", () => {
    fc.assert(
      fc.property(
        fc.array(cString, { maxLength: 4 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
        (texts, counts) => {
          const lines = texts.map((text) =>
            Buffer.concat([
              Buffer.from('{"type": "printf", "data": "'),
              escape(text, false),
              Buffer.from('"}'),
            ]),
          );
          // The stream turns hexadecimal when it writes the first \u.
          const hex = texts.some((text) =>
            text.some((byte) => byte >= 0x80 || (byte < 0x20 && ![0x09, 0x0a, 0x0d].includes(byte))),
          );
          const buckets = counts.map(
            (count, i) => `{"min": ${i}, "max": ${i}, "count": ${count.toString(hex ? 16 : 10)}}`,
          );
          const messages = decodeLines(
            "0.27.0",
            ...lines,
            `{"type": "hist", "data": {"@h": [${buckets.join(",")}]}}`,
          );
          const [hist] = ofKind(messages, "hist");
          expect(hist?.entries[0]?.buckets.map(({ count }) => count)).toEqual(counts);
        },
      ),
    );
  });

  test("a line as a string and as bytes", () => {
    fc.assert(
      fc.property(version, start, fc.string({ unit: "binary", maxLength: 40 }), (v, prefix, tail) => {
        const line = prefix + tail;
        expect(decodeLines(v, line)).toEqual(decodeLines(v, Buffer.from(line, "utf8")));
      }),
    );
  });
});
