import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { JsonObject, ProbeDefinition } from "../../../src/probe/define.ts";
import type { Input } from "../../../src/session/input.ts";
import { READY_LINE } from "../../../src/session/ready.ts";
import { createSession, type SessionEnd } from "../../../src/session/session.ts";
import { VERSIONS, readLines, type Recorded } from "../wire/recording.ts";

/** A probe that ignores what it reads: here it is about what the session makes of bpftrace. */
const PROBE: ProbeDefinition = {
  name: "none",
  summary: "",
  description: "",
  filters: [],
  attach: [],
  prepare: () => ({ variables: {}, tables: {} }),
  run: () => ({
    message: () => {},
    interval: () => null,
    live: () => ({ headline: "", spark: [], table: null, lost: 0 }),
    finish: () => ({ summary: {}, findings: [], report: [], profiles: [] }),
  }),
};

/** Runs a session of that version over these inputs; gives its end and its records. */
function run(
  version: string,
  inputs: readonly Input[],
  probe: ProbeDefinition = PROBE,
): { end: SessionEnd; records: JsonObject[] } {
  const records: JsonObject[] = [];
  const session = createSession(
    probe,
    {
      command: "none",
      argv: [],
      host: "h",
      kernel: "6.1",
      bpftrace: version,
      start: "2026-01-01T00:00:00Z",
      capabilities: {},
      options: {},
      tables: {},
      degraded: [],
    },
    {},
    {
      record: (record) => records.push(record),
      notice: () => {},
      print: () => {},
      attached: () => {},
      ask: () => {},
      live: () => {},
    },
  );
  for (const input of inputs) session.push(input);
  const end = session.finish(null);
  session.close(end, null);
  return { end, records };
}

const line = (text: string | Buffer): Input => ({ kind: "line", at: 1, line: Buffer.from(text) });
const stderr = (text: string): Input => ({ kind: "stderr", at: 1, line: text });
const exit = (code: number | null, signal: string | null = null): Input => ({
  kind: "exit",
  at: 2,
  code,
  signal,
  startError: null,
  killed: false,
  misses: null,
});
const ready: readonly Input[] = [
  line(JSON.stringify({ type: "printf", data: READY_LINE }).replace('{"type":', '{"type": ')),
  { kind: "ready", at: 1 },
];

function statusOf(version: Recorded): Record<string, number> {
  const path = new URL(`../../../fixtures/wire/${version}/exit-status.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, number>;
}

/** Every recorded run that failed, with what it printed on stderr. */
const FAILED = VERSIONS.flatMap((version) => {
  const files = readdirSync(new URL(`../../../fixtures/wire/${version}/`, import.meta.url));
  const status = statusOf(version);
  return files
    .filter((file) => file.endsWith(".err") && (status[file.slice(0, -4)] ?? 0) !== 0)
    .map((file) => ({ version, name: file.slice(0, -4), status: status[file.slice(0, -4)] ?? null }));
});

/** Not the host's fault, or nobody's that is known: bpftrace's own bugs, and what it does not explain. */
const FAILURES_OF_THE_RUN = new Set([
  "0.11.3 end_clear",
  "0.11.3 err_kfunc",
  "0.11.3 huge_map",
  "0.11.3 ring_size",
  "0.17.0 huge_map",
  "0.17.0 missing_symbol",
  "0.17.0 ring_size",
  "0.23.2 division",
  "0.27.0 missing_symbol",
]);

describe("every recorded failure", () => {
  test("there are recordings of all versions", () => {
    expect(FAILED.length).toBeGreaterThan(70);
    expect(new Set(FAILED.map(({ version }) => version)).size).toBe(VERSIONS.length);
  });

  test.each(FAILED)("$version $name: its exit code, three lines, a summary", ({ version, name, status }) => {
    const lines = readLines(version, `${name}.err`).map((text) => stderr(text.toString("utf8")));
    const { end, records } = run(version, [...lines, exit(status)]);
    expect(end.code).toBe(FAILURES_OF_THE_RUN.has(`${version} ${name}`) ? 1 : 3);
    const texts = [end.error?.message, end.error?.why, end.error?.hint].filter((text) => text != null);
    expect(texts.length).toBeGreaterThanOrEqual(2);
    for (const text of texts) expect(text).toMatch(/^\P{Cc}{3,300}$/u);
    expect(records.at(-1)).toMatchObject({ type: "summary", error: { message: end.error?.message } });

    // The same words once everything was attached: it started, so it is not the host that cannot.
    expect(run(version, [...ready, ...lines, exit(status)]).end.code).toBe(1);
  });
});

test("a mistake in a script of one's own is wrong usage, an event that this host lacks is not", () => {
  const own = { ...PROBE, isGiven: true };
  const fail = (words: string) => run("0.17.0", [stderr(words), exit(1)], own).end.code;
  expect(fail("stdin:1:20-21: ERROR: syntax error, unexpected }, expecting ) or ,")).toBe(2);
  expect(fail("stdin:1:1-20: ERROR: tracepoint not found: skb:nope")).toBe(3);
});

test("the last words are kept, however much was said before", () => {
  const chatter = Array.from({ length: 5000 }, (_, i) => stderr(`WARNING: nothing ${i}`));
  const { end } = run("0.17.0", [...chatter, stderr("ERROR: tracepoint not found: skb:nope"), exit(1)]);
  expect(end).toMatchObject({ code: 3, error: { message: "there is no tracepoint skb:nope" } });
  expect(end.stderr.length).toBeLessThanOrEqual(400);
});

describe("what is lost or goes wrong is counted, by its code", () => {
  const notices = (version: Recorded, name: string): Record<string, number> => {
    const { end } = run(version, [...ready, ...readLines(version, `${name}.out`).map(line), exit(0)]);
    expect(end.code).toBe(0);
    const byCode: Record<string, number> = {};
    for (const { code, count } of end.notices) byCode[code] = (byCode[code] ?? 0) + count;
    return byCode;
  };

  test.each([
    ["0.11.3", "lost", { "lost-events": 3954 }],
    ["0.17.0", "lost", { "lost-events": 3735 }],
    ["0.23.2", "lost", { "lost-events": 92_611 }],
    ["0.27.0", "lost", { "lost-events": 0x16ab }],
    ["0.17.0", "map_full_k", { "map-full": 1 }],
    ["0.23.2", "map_full", { "map-full": 8 }],
    ["0.27.0", "map_full", { "map-full": 8 }],
    ["0.27.0", "runtime_error", { runtime: 1, diagnostic: 3 }],
    ["0.27.0", "tseries", { malformed: 3 }],
  ] as const)("%s %s", (version, name, expected) => {
    expect(notices(version, name)).toEqual(expected);
  });

  test("errorf and warnf, each with its words", () => {
    const { end } = run("0.27.0", [...ready, ...readLines("0.27.0", "errorf.out").map(line), exit(0)]);
    expect(end.notices.map(({ code, message, count }) => [code, message, count])).toEqual([
      ["runtime", 'bpftrace: bad 3 "x"', 1],
      ["runtime", "bpftrace: hm", 1],
    ]);
  });

  test("lost events are in the summary, those that the kernel skipped included", () => {
    const lost = readLines("0.23.2", "lost.out").map(line);
    const { records } = run("0.23.2", [...ready, ...lost, { ...exit(0), misses: 5 } as Input]);
    expect(records.at(-1)).toMatchObject({ type: "summary", lost: 92_616 });
  });

  test("a line that is cut, and rubbish", () => {
    const cut = line('{"type": "map", "data": {"@a": {"1": 2');
    const { end } = run("0.17.0", [...ready, cut, cut, line("rubbish"), exit(0)]);
    expect(end.notices.map(({ code, count }) => [code, count])).toEqual([
      ["malformed", 2],
      ["diagnostic", 1],
    ]);
  });
});
