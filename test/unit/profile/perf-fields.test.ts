import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseBareHead, parsePerfHead } from "../../../src/profile/read/perf-head.ts";
import { describeReport } from "../../../src/profile/read/read.ts";
import { listStacks, readBytes, sum } from "./helpers.ts";

const readFixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/profile/perf/${name}.txt`, import.meta.url), "utf8");

/** What a fixture holds: samples by event, and what stands at the root of every stack. */
const FIXTURES: readonly (readonly [name: string, events: Record<string, number>, root: RegExp])[] = [
  ["default", { " cpu-clock": 4, " task-clock": 4 }, /^burn;/],
  ["no-event", { "": 8 }, /^burn;/],
  ["comm-tid", { "": 8 }, /^burn;/],
  ["comm", { "": 8 }, /^burn;/],
  ["no-comm", { " cpu-clock": 4, " task-clock": 4 }, /^(?!burn)\w/],
  ["event", { " cpu-clock": 4, " task-clock": 4 }, /^(?!burn)\w/],
  ["frames-only", { "": 8 }, /^(?!burn)\w/],
  ["misc", { " cpu-clock": 4, " task-clock": 4 }, /^burn;/],
  ["srcline", { " cpu-clock": 4, " task-clock": 4 }, /^burn;/],
  ["inlined", { " cpu-clock": 8 }, /^burn;_start/],
  ["plain", { " cpu-clock": 8 }, /^burn;[^;]+$/],
  ["plain-no-time", { " cpu-clock": 8 }, /^burn;[^;]+$/],
  ["plain-comm", { "": 8 }, /^burn;[^;]+$/],
  ["cpu-trace", { " sched:sched_switch": 8 }, /^[\w:/.-]+;/],
];

describe("perf script with other fields (-F)", () => {
  it.each(FIXTURES)("%s: every sample, by event, with the comm at the root", async (name, events, root) => {
    const text = readFixture(name);
    for (const [input, piece] of [
      [text, undefined],
      [text, 37],
      [text.replaceAll("\n", "\r\n"), undefined],
    ] as const) {
      const { store, report } = await readBytes(input, piece);
      expect(report).toMatchObject({ format: "perf-script", samples: 8, damaged: 0 });
      expect(Object.fromEntries(store.profiles.map((data) => [data.name.slice(5), data.total]))).toEqual(
        events,
      );
      const stacks = store.profiles.flatMap((data) => Object.keys(listStacks(store, data)));
      for (const stack of stacks) expect(stack).toMatch(root);
    }
  });

  it("leaves perf's own records out, and says so", async () => {
    const { store, report } = await readBytes(
      `${readFixture("records")}x 1 2.000000: PERF_RECORD_LOST lost 12\n`,
    );
    expect(store.profiles.map(({ name }) => name)).toEqual(["input cpu-clock", "input task-clock"]);
    expect(report.damaged).toBe(0);
    expect(describeReport(report)).toMatch(
      /^left out: \d+ records that are no samples; missing from the start: 12 samples that perf lost$/,
    );
  });

  it("gives the same stacks whatever the fields are", async () => {
    const list = async (name: string): Promise<string[]> => {
      const { store } = await readBytes(readFixture(name));
      const stacks = store.profiles.flatMap((data) => Object.entries(listStacks(store, data)));
      return stacks
        .map(([stack, count]) => `${stack.replace(/^burn;/, "").replaceAll(/\[\/.*?\]/g, "")} ${count}`)
        .toSorted();
    };
    const wanted = await list("default");
    for (const name of ["no-comm", "event", "misc", "srcline"]) expect(await list(name)).toEqual(wanted);
  });
});

describe("perf script that was cut off", () => {
  it("converts the whole samples, and counts the lines of the last one", async () => {
    const text = readFixture("default");
    const last = text.trimEnd().lastIndexOf("\n\n") + 2;
    const wholeBut = async (size: number): Promise<[samples: number, damaged: number]> => {
      const { report } = await readBytes(text.slice(0, size));
      return [report.samples, report.damaged];
    };
    expect(await wholeBut(text.length)).toEqual([8, 0]);
    // In the head line, behind it, and in a frame.
    expect(await wholeBut(last + 10)).toEqual([7, 1]);
    expect(await wholeBut(text.indexOf("\n", last))).toEqual([7, 1]);
    expect((await wholeBut(text.indexOf("\n", last) + 30))[0]).toBe(7);
    // Only the last newlines are missing: nothing is lost.
    expect(await wholeBut(text.trimEnd().length)).toEqual([8, 0]);
  });

  it("counts frames whose head is missing, where others have one", async () => {
    const text = readFixture("default");
    const { store, report } = await readBytes(text.slice(text.indexOf("\n") + 1));
    expect(report).toMatchObject({
      samples: 7,
      damaged: text.slice(0, text.indexOf("\n\n")).split("\n").length - 1,
    });
    expect(store.profiles).toHaveLength(2);
  });

  it("counts rubbish between the samples", async () => {
    const { report } = await readBytes(readFixture("default").replace("\n\n", "\n\nwhat is this\n\n"));
    expect(report).toMatchObject({ samples: 8, damaged: 1 });
  });
});

describe("head lines", () => {
  it.each([
    ["foo 12   345 1.234567: cycles:", { comm: "foo 12", event: "cycles", rest: "" }],
    ["a 1.5: b  7 [001] d..2. 1.234567: 1 cycles:P:", { comm: "a 1.5: b", event: "cycles:P", rest: "" }],
    ["V8 Worker 1.234567: cycles:", { comm: "V8 Worker", event: "cycles", rest: "" }],
    [
      "x 7 1.234567: 55d1 std::f(int) (/bin/x)",
      { comm: "x", event: null, rest: "55d1 std::f(int) (/bin/x)" },
    ],
    ["x 7 1.234567: cpu/cycles,name=c/u: ", { comm: "x", event: "cpu/cycles,name=c/u", rest: "" }],
    ["x 7 sys:enter: fd: 0x3, n: 4", { comm: "x", event: "sys:enter", rest: "fd: 0x3, n: 4" }],
    ["x 7 1.2: PERF_RECORD_MMAP2 7/7: [0x1(0x2) @ 0]: r-xp /bin/x", "record"],
    ["  file.c:12", null],
    ["what is this", null],
  ])("%j", (text, head) => {
    expect(parsePerfHead(text)).toEqual(head);
  });

  it("knows bare ones", () => {
    // With the period behind it (-F comm,pid,tid,period and comm,tid,period of 5.10 to 7.2).
    for (const text of [
      "burn  3240/3240    10101010 ",
      "burn 3240   10101010",
      "burn  3240/3240 [001] 1010101010",
    ])
      expect(parseBareHead(text)).toEqual({ comm: "burn", event: null, rest: "" });
    expect(parseBareHead("worker 12 345")).toEqual({ comm: "worker 12", event: null, rest: "" });
    expect(parseBareHead("V8 Worker 12/13 ")).toEqual({ comm: "V8 Worker", event: null, rest: "" });
    expect(parseBareHead("   burn      55d13fa5a1a7 inner")).toEqual({
      comm: "burn",
      event: null,
      rest: "55d13fa5a1a7 inner",
    });
  });

  it("gives comm and event again, whatever the comm", () => {
    const comm = fc.string({ minLength: 1, maxLength: 15 }).filter((text) => !/\s/.test(text));
    fc.assert(
      fc.property(comm, fc.nat(), fc.constantFrom("", " [003]", "/7", "/7 [001]"), (name, pid, cpu) => {
        const text = `${name} ${pid}${cpu} 12.345678:    250000 cycles:u: `;
        expect(parsePerfHead(text)).toEqual({ comm: name, event: "cycles:u", rest: "" });
      }),
    );
  });

  it("adds up: every sample of any mixture of fields is one count", async () => {
    const piece = fc.constantFrom(
      "a 1 1.000000: cycles:\n",
      "a 1 \n",
      "a\n",
      "\n",
      "\t            7f00 f (m)\n",
      "\t7f00 g\n",
      "  f.c:3\n",
      " cpu-clock: \n",
      "\xff\n",
      "a  7f001122 g\n",
      "x: y\n",
      "7 1.0: PERF_RECORD_COMM: x\n",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 30 }),
        fc.integer({ min: 1, max: 30 }),
        async (pieces, size) => {
          const head = "a 1 [000] 1.000000: cycles: \n\t7f00 f (m)\n\n";
          const { store, report } = await readBytes(Buffer.from(head + pieces.join(""), "latin1"), size);
          expect(sum(store.profiles.map(({ total }) => total))).toBe(report.samples);
          expect(store.profiles.every(({ stacks }) => stacks.length > 0)).toBe(true);
        },
      ),
    );
  });
});
