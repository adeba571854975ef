import { describe, expect, test } from "vitest";
import { isMapFull } from "../../../src/wire/message.ts";
import { VERSIONS, decodeLines, decodeRecording, entriesOf, ofKind } from "./recording.ts";

describe.each(VERSIONS)("records of %s", (version) => {
  test("nothing of a good run is malformed, and blank lines at its end are nothing", () => {
    for (const name of [
      "aggs",
      "bytes",
      "keys",
      "integers",
      "join",
      "nested_str",
      "weird_comm",
      "sticky_hex",
    ]) {
      const messages = decodeRecording(version, name);
      expect(ofKind(messages, "malformed")).toEqual([]);
      expect(ofKind(messages, "unknown")).toEqual([]);
    }
  });

  test("the banner", () => {
    expect(decodeRecording(version, "print_tuple")[0]).toEqual({ kind: "attached", probes: 1 });
  });

  test("print() gives values, tuples as lists", () => {
    expect(ofKind(decodeRecording(version, "print_tuple"), "value").map(({ value }) => value)).toEqual([
      [1, "two", 3],
      [4, "five"],
      7,
      "s",
    ]);
  });

  test("printf, time and join give texts, with or without a newline", () => {
    expect(ofKind(decodeRecording(version, "printf_noeol"), "text")).toEqual([
      { kind: "text", text: "no newline" },
    ]);
    expect(ofKind(decodeRecording(version, "time_fn"), "text")[0]?.text).toMatch(/^\d\d:\d\d:\d\d\n$/);
    expect(ofKind(decodeRecording(version, "join"), "text")[0]?.text).toMatch(/ .* /);
  });

  test("maps without and with keys", () => {
    const messages = decodeRecording(version, "aggs");
    expect(entriesOf(messages, "@c")).toEqual([[null, 1]]);
    expect(entriesOf(messages, "@su")).toEqual([[null, 11]]);
    expect(entriesOf(decodeRecording(version, "bytes"), "@u")).toEqual([["1,\\uffffffc3", 2]]);
  });

  test("histograms: open ends are null, keyed or not, spaced or not", () => {
    const hists = ofKind(decodeRecording(version, "aggs"), "hist");
    expect(hists.map(({ name }) => name)).toEqual(["@h", "@hk", "@l"]);
    const [plain, keyed, linear] = hists;
    expect(plain?.entries).toHaveLength(1);
    expect(plain?.entries[0]?.key).toBeNull();
    expect(plain?.entries[0]?.buckets.slice(0, 4)).toEqual([
      { min: null, max: -1, count: 1 },
      { min: 0, max: 0, count: 1 },
      { min: 1, max: 1, count: 1 },
      { min: 2, max: 3, count: 0 },
    ]);
    expect(keyed?.entries).toEqual([
      { key: "a", buckets: [{ min: 8, max: 15, count: 1 }] },
      { key: "b", buckets: [{ min: 2, max: 3, count: 1 }] },
    ]);
    expect(linear?.entries[0]?.buckets.at(0)).toEqual({ min: null, max: -1, count: 1 });
    expect(linear?.entries[0]?.buckets.at(-1)).toEqual({ min: 10, max: null, count: 1 });
  });

  test("avg() knows the average only, stats() all three", () => {
    const stats = ofKind(decodeRecording(version, "aggs"), "stats");
    expect(stats.find(({ name }) => name === "@av")?.entries).toEqual([
      { key: null, count: null, average: 15, total: null },
    ]);
    expect(stats.find(({ name }) => name === "@st")?.entries).toEqual([
      { key: null, count: 2, average: 15, total: 30 },
    ]);
    expect(stats.find(({ name }) => name === "@sk")?.entries).toEqual([
      { key: "1,z", count: 1, average: 3, total: 3 },
    ]);
  });

  test("an empty histogram: no text before 0.16, [] later", () => {
    expect(ofKind(decodeRecording(version, "hist_empty"), "hist")).toEqual([
      { kind: "hist", name: "@h", entries: [{ key: null, buckets: [] }] },
    ]);
  });

  test("values of 2^31 and more in a histogram: one last bucket before 0.20, printed as -2147483648 to 0", () => {
    const [hist, one] = ofKind(decodeRecording(version, "hist_large"), "hist").map(
      ({ entries }) => entries[0]?.buckets,
    );
    expect(hist?.[0]).toEqual({ min: 2 ** 30, max: 2 ** 31 - 1, count: 1 });
    const old = version === "0.11.3" || version === "0.17.0";
    expect(hist?.slice(1)).toEqual(
      old
        ? [{ min: 2 ** 31, max: null, count: 3 }]
        : [31, 32, 33].map((power) => ({ min: 2 ** power, max: 2 ** (power + 1) - 1, count: 1 })),
    );
    expect(one).toEqual([{ min: 2 ** 31, max: old ? null : 2 ** 32 - 1, count: 1 }]);
  });

  test("integers beyond 2^53 are exact, quoted (0.24 and later) or not", () => {
    const messages = decodeRecording(version, "integers");
    // 0.11 cannot count beyond 2^63.
    const most = version === "0.11.3" ? 2n ** 63n - 1n : 2n ** 64n - 1n;
    expect(entriesOf(messages, "@a")).toEqual([[null, 9007199254740993n]]);
    expect(entriesOf(messages, "@b")).toEqual([[null, most]]);
    expect(entriesOf(messages, "@c")).toEqual([[null, -9007199254740993n]]);
    expect(entriesOf(messages, "@d")).toEqual([[null, 2n ** 54n]]);
    expect(ofKind(messages, "value")[0]?.value).toEqual([1, 9007199254740993n, most]);
  });

  test("a string of digits stays one, unless a modern bpftrace would have quoted that integer", () => {
    const messages = decodeRecording(version, "integers");
    expect(entriesOf(messages, "@t")).toEqual([[null, "18014398509481984"]]);
    const [[, digits] = []] = entriesOf(messages, "@s");
    expect(String(digits)).toBe("9007199254740993");
    expect(typeof digits).toBe(version === "0.27.0" ? "bigint" : "string");
  });

  test("lost events, hexadecimal in 0.24 and later after a \\u escape", () => {
    const events = ofKind(decodeRecording(version, "lost"), "lost").map((message) => message.events);
    expect(events).toEqual(
      { "0.11.3": [3950, 3, 1], "0.17.0": [3731, 4], "0.23.2": [1577, 91034], "0.27.0": [0x16ab] }[version],
    );
  });
});

describe("what bpftrace reports while it runs", () => {
  test("the notice that all probes are attached is on stdout from 0.23 on", () => {
    expect(ofKind(decodeRecording("0.17.0", "ready"), "ready")).toHaveLength(0);
    for (const version of ["0.23.2", "0.27.0"] as const) {
      const kinds = decodeRecording(version, "ready").map(({ kind }) => kind);
      expect(kinds).toEqual(["attached", "ready", "text"]);
    }
  });

  test("a full map, whatever the wording", () => {
    const [k] = ofKind(decodeRecording("0.17.0", "map_full_k"), "runtime");
    expect(k).toEqual({
      kind: "runtime",
      message: "map_update_elem failed with -7",
      helper: "map_update_elem",
      retcode: -7,
      line: 1,
      column: 34,
    });
    for (const version of ["0.23.2", "0.27.0"] as const) {
      const full = ofKind(decodeRecording(version, "map_full"), "runtime");
      expect(full.length).toBeGreaterThan(1);
      expect(full.every(isMapFull)).toBe(true);
    }
    expect(isMapFull({ kind: "lost", events: 7 })).toBe(false);
  });

  test("0.27: division by zero, errorf, warnf", () => {
    const division = decodeRecording("0.27.0", "runtime_error");
    expect(ofKind(division, "runtime")[0]).toMatchObject({
      message: expect.stringMatching(/^Divide or modulo by 0 detected/),
      helper: null,
      retcode: null,
      line: 1,
      column: 29,
    });
    expect(isMapFull(division[0] ?? { kind: "ready" })).toBe(false);
    expect(ofKind(decodeRecording("0.27.0", "errorf"), "runtime")).toEqual([
      { kind: "runtime", message: 'bad 3 "x"', helper: null, retcode: null, line: 1, column: 9 },
      { kind: "runtime", message: "hm", helper: null, retcode: null, line: 1, column: 38 },
    ]);
  });

  test("0.27: compile warnings stand in the middle of the records", () => {
    const texts = ofKind(decodeRecording("0.27.0", "runtime_error"), "diagnostic").map(({ text }) => text);
    expect(texts[0]).toContain("WARNING: signed operands for '/'");
    expect(texts[1]).toBe("BEGIN { $z = (int64)0; @x = 5 / $z; exit(); }");
    expect(texts[2]).toMatch(/^ +~+$/);
  });

  test("up to 0.23 lost_events also says that watchpoints ran out", () => {
    const line =
      '{"type": "lost_events", "data": "Failed to attach watchpoint probe. You are out of watchpoint registers."}';
    expect(decodeLines("0.17.0", line)).toEqual([
      {
        kind: "runtime",
        message: "Failed to attach watchpoint probe. You are out of watchpoint registers.",
        helper: null,
        retcode: null,
        line: null,
        column: null,
      },
    ]);
  });

  test("0.27 prints an average map that was cleared as no entries, and booleans as such", () => {
    expect(ofKind(decodeRecording("0.27.0", "hist_empty"), "stats")).toEqual([
      { kind: "stats", name: "@a", entries: [] },
    ]);
    expect(decodeLines("0.24.0", '{"type": "map", "data": {"@": {}}}')).toEqual([
      { kind: "map", name: "@", entries: [] },
    ]);
    const booleans = decodeRecording("0.27.0", "booleans");
    expect(ofKind(booleans, "value")[0]?.value).toBe(true);
    expect(entriesOf(booleans, "@b")).toEqual([[null, false]]);
  });

  test("buf() is escaped text up to 0.23 and a list of signed bytes later", () => {
    expect(entriesOf(decodeRecording("0.17.0", "buffer"), "@b")).toEqual([[null, "A\\xff\\x00A"]]);
    expect(entriesOf(decodeRecording("0.23.2", "buffer"), "@k")).toEqual([['A\\xff"', 1]]);
    expect(entriesOf(decodeRecording("0.27.0", "buffer"), "@b")).toEqual([[null, [65, -1, 0, 65]]]);
  });
});

describe("lines that are no known record", () => {
  test("a record of another type is kept", () => {
    const line = '{"type": "benchmark_result", "data": {"BENCH:x": {"average": 12, "iters": 100}}}';
    expect(decodeLines("0.27.0", line)).toEqual([
      { kind: "unknown", type: "benchmark_result", value: { "BENCH:x": { average: 12, iters: 100 } } },
    ]);
    expect(decodeLines("0.27.0", '{"type": "new", "a": 1, "__proto__": 2}')).toEqual([
      {
        kind: "unknown",
        type: "new",
        value: Object.fromEntries([
          ["a", 1],
          ["__proto__", 2],
        ]),
      },
    ]);
  });

  test("text without a newline does not hide the record behind it", () => {
    expect(decodeLines("0.17.0", 'oops{"type": "printf", "data": "x"}')).toEqual([
      { kind: "diagnostic", text: "oops" },
      { kind: "text", text: "x" },
    ]);
    expect(decodeLines("0.17.0", '{"type": "printf", "data": "x"}{"type": "printf", "data": "y"} z')).toEqual(
      [
        { kind: "text", text: "x" },
        { kind: "text", text: "y" },
        { kind: "diagnostic", text: " z" },
      ],
    );
  });

  test("a record that cannot be read says why, in few words", () => {
    const [cut] = decodeLines("0.17.0", `{"type": "printf", "data": "${"x".repeat(5000)}`);
    expect(cut).toMatchObject({ kind: "malformed", why: "the line is cut off" });
    expect(cut?.kind === "malformed" ? cut.text : "").toHaveLength(200);
    expect(decodeLines("0.17.0", '{"type": "map", "data": {"@": {"a": 1; "b": 2}}}')[0]).toMatchObject({
      kind: "malformed",
    });
    expect(decodeLines("0.17.0", '{"type": "hist", "data": {"@": [{"min": 1, "max": 2}]}}')[0]).toMatchObject(
      {
        kind: "malformed",
        why: expect.stringMatching(/^histogram bucket without a count/),
      },
    );
    expect(decodeLines("0.17.0", '{"type": "map"}')[0]).toMatchObject({
      kind: "malformed",
      why: expect.stringMatching(/^map without data/),
    });
    expect(decodeLines("0.17.0", '{"type": "attached_probes", "data": {}}')[0]).toMatchObject({
      kind: "malformed",
    });
  });

  test("other text is a diagnostic of bounded length, its indentation kept", () => {
    expect(decodeLines("0.27.0", "    ~~~~", "{ printf(x) }", "", "  \t ")).toEqual([
      { kind: "diagnostic", text: "    ~~~~" },
      { kind: "diagnostic", text: "{ printf(x) }" },
    ]);
    const [long] = decodeLines("0.27.0", "é".repeat(100_000));
    expect(long?.kind === "diagnostic" ? long.text : "").toBe("é".repeat(1000));
  });

  test("a nesting made to exhaust the stack is malformed", () => {
    const deep = `{"type": "value", "data": ${"[".repeat(200_000)}`;
    expect(decodeLines("0.27.0", deep)[0]).toMatchObject({
      kind: "malformed",
      why: expect.stringMatching(/^nested too deep/),
    });
  });
});
