import { describe, expect, test } from "vitest";
import type { Integer, Message, Value } from "../../../src/wire/message.ts";
import { VERSIONS, decodeLines, decodeRecording, entriesOf, ofKind } from "./recording.ts";

function isObject(value: Value): value is { [key: string]: Value } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The counts of each record of the histogram `name`. */
function countsOf(messages: readonly Message[], name: string): Integer[][] {
  return ofKind(messages, "hist")
    .filter((hist) => hist.name === name)
    .map(({ entries }) => entries.flatMap(({ buckets }) => buckets.map(({ count }) => count)));
}

/** The line of a histogram with one bucket. */
function printHist(count: string): string {
  return `{"type": "hist", "data": {"@h": [{"min": 4, "max": 7, "count": ${count}}]}}`;
}

describe("numbers that turn hexadecimal (0.24 and later)", () => {
  test.each(VERSIONS)("a histogram of %s counts 26 before and after a control character", (version) => {
    const messages = decodeRecording(version, "sticky_hex");
    expect(countsOf(messages, "@h")).toEqual([[26], [26], [26]]);
    expect(countsOf(messages, "@k")).toEqual([[26]]);
    expect(ofKind(messages, "value")[0]?.value).toBe(100);
    expect(entriesOf(messages, "@c")).toEqual([[null, 26]]);
    expect(ofKind(messages, "stats")[0]?.entries[0]).toMatchObject({ count: 26, average: 26, total: 676 });
  });

  test("the base flips in the middle of a line, at the first \\u of its keys", () => {
    const messages = decodeRecording("0.27.0", "sticky_hex_midline");
    expect(countsOf(messages, "@k")).toEqual([
      [26, 26],
      [26, 26],
    ]);
  });

  test("a version that is not known is recognised by its banner, or by a letter", () => {
    expect(countsOf(decodeRecording("0.27.0", "sticky_hex", null), "@h")).toEqual([[26], [26], [26]]);
    expect(countsOf(decodeRecording("0.17.0", "sticky_hex", null), "@h")).toEqual([[26], [26], [26]]);
    const escape = '{"type": "printf", "data": "\\u0001"}';
    expect(
      countsOf(decodeLines(null, escape, printHist("64"), printHist("1a"), printHist("64")), "@h"),
    ).toEqual([[64], [26], [100]]);
    const banner = '{"type": "attached_probes", "count": 1, "data": {"probes": 1}}';
    expect(countsOf(decodeLines(null, banner, escape, printHist("64")), "@h")).toEqual([[100]]);
    expect(countsOf(decodeLines("0.24.0", escape, printHist("64")), "@h")).toEqual([[100]]);
    expect(countsOf(decodeLines("0.24.0", printHist("64")), "@h")).toEqual([[64]]);
    expect(countsOf(decodeLines("0.23.2", escape, printHist("64")), "@h")).toEqual([[64]]);
    expect(decodeLines("0.23.2", escape, printHist("1a"))[1]).toMatchObject({ kind: "malformed" });
  });

  test("a backslash and a u that are text flip nothing", () => {
    const text = String.raw`{"type": "printf", "data": "\\u0001"}`;
    expect(countsOf(decodeLines("0.27.0", text, printHist("64")), "@h")).toEqual([[64]]);
  });

  test("the banner and the lost events, too", () => {
    const lines = [
      '{"type": "printf", "data": "\\uffffffc3"}',
      '{"type": "attached_probes", "count": 16a, "data": {"probes": 16a}}',
      '{"type": "lost_events", "count": 10, "data": {"events": 10}}',
    ];
    expect(decodeLines("0.25.0", ...lines).slice(1)).toEqual([
      { kind: "attached", probes: 362 },
      { kind: "lost", events: 16 },
    ]);
  });

  test("each decoder has its own state", () => {
    decodeLines("0.27.0", '{"type": "printf", "data": "\\u0001"}');
    expect(decodeLines("0.27.0", '{"type": "lost_events", "count": 10, "data": {"events": 10}}')).toEqual([
      { kind: "lost", events: 10 },
    ]);
  });

  test("points of a tseries, negative ones in two's complement", () => {
    const series = ofKind(decodeRecording("0.27.0", "tseries"), "unknown");
    expect(series.map(({ type }) => type)).toEqual(["tseries", "tseries", "tseries"]);
    const points = series.flatMap(({ value }) => (isObject(value) ? Object.values(value) : [])).flat();
    const values = points.map((point) => (isObject(point) ? point["value"] : null));
    expect(values).toEqual([26, 26, 26, -26, -26, -26, 26, 26, 26]);
  });

  test("0.24.0 prints the points of a tseries without commas, and their times without quotes", () => {
    const line =
      '{"type": "tseries", "data": {"@t": [{"interval_start":2026-11-22 22:07:00.500000000,"value":26}{"interval_start":2026-11-22 22:07:00.600000000,"value":3}]}}';
    expect(decodeLines("0.24.0", line)).toEqual([
      {
        kind: "unknown",
        type: "tseries",
        value: {
          "@t": [
            { interval_start: "2026-11-22 22:07:00.500000000", value: 26 },
            { interval_start: "2026-11-22 22:07:00.600000000", value: 3 },
          ],
        },
      },
    ]);
  });
});

describe("values bpftrace does not quote", () => {
  test("strftime, before 0.22", () => {
    const messages = decodeRecording("0.17.0", "strftime");
    expect(ofKind(messages, "malformed")).toEqual([]);
    expect(ofKind(messages, "value").map(({ value }) => value)).toEqual([
      [1, "Sun, 22 Nov", 2],
      expect.stringMatching(/^2026-11-22 \d\d:\d\d:\d\d$/),
    ]);
    const times = entriesOf(messages, "@t");
    expect(times.map(([key]) => key)).toEqual(["1", "2"]);
    for (const [, time] of times) expect(time).toMatch(/^2026-11-22 \d\d:\d\d:\d\d$/);
  });

  test("cgroup_path and strerror, before 0.20", () => {
    const messages = decodeRecording("0.17.0", "cgroup_path");
    const path = "unified:/,blkio:/,cpu:/,cpuacct:/,cpuset:/,devices:/,freezer:/,memory:/,pids:/,systemd:/";
    expect(ofKind(messages, "value").map(({ value }) => value)).toEqual([
      [1, path, 3],
      "No such file or directory",
    ]);
    expect(entriesOf(messages, "@c")).toEqual([[null, path]]);
    expect(entriesOf(messages, "@e")).toEqual([[null, "No such file or directory"]]);
  });

  test("macaddr, before 0.24", () => {
    const messages = decodeRecording("0.17.0", "macaddr");
    expect(ofKind(messages, "value").map(({ value }) => value)).toEqual([
      [7, expect.stringMatching(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/)],
    ]);
    expect(entriesOf(messages, "@m")[0]?.[1]).toMatch(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/);
  });

  test("pointers, nothing at all, and a struct of before 0.13", () => {
    const values = decodeLines(
      "0.12.1",
      '{"type": "value", "data": [0xffff888100001234,1]}',
      '{"type": "value", "data": }',
      '{"type": "value", "data": { .pid = 1, .inner = { .x = 2 } }}',
      '{"type": "value", "data": 07}',
    );
    expect(ofKind(values, "value").map(({ value }) => value)).toEqual([
      ["0xffff888100001234", 1],
      null,
      "{ .pid = 1, .inner = { .x = 2 } }",
      "07",
    ]);
  });

  test("numbers of any shape", () => {
    const values = decodeLines(
      "0.17.0",
      '{"type": "value", "data": [0,-0,-7,1.5,1e3,-2.50,123456789012345,1234567890123456,99999999999999999999]}',
    );
    expect(ofKind(values, "value")[0]?.value).toEqual([
      0,
      0,
      -7,
      1.5,
      1000,
      -2.5,
      123456789012345,
      1234567890123456,
      99999999999999999999n,
    ]);
  });

  test("null and booleans of 0.24 and later", () => {
    const values = decodeLines("0.26.0", '{"type": "value", "data": [null,true,false,[],{"a": null}]}');
    expect(ofKind(values, "value")[0]?.value).toEqual([null, true, false, [], { a: null }]);
  });
});

describe("statistics that could be something else", () => {
  test("an average for each key", () => {
    expect(decodeLines("0.17.0", '{"type": "stats", "data": {"@a": {"1": 5, "2": -6}}}')).toEqual([
      {
        kind: "stats",
        name: "@a",
        entries: [
          { key: "1", count: null, average: 5, total: null },
          { key: "2", count: null, average: -6, total: null },
        ],
      },
    ]);
  });

  test("text where a number belongs is malformed", () => {
    expect(decodeLines("0.17.0", '{"type": "stats", "data": {"@a": "x"}}')[0]).toMatchObject({
      kind: "malformed",
    });
    expect(decodeLines("0.17.0", '{"type": "stats", "data": {"@a": {"1": "x"}}}')[0]).toMatchObject({
      kind: "malformed",
    });
    expect(
      decodeLines("0.17.0", '{"type": "hist", "data": {"@a": [{"min": 0, "max": 1, "count": 1.5}]}}')[0],
    ).toMatchObject({ kind: "malformed" });
  });
});
