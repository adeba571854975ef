import { readFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeReport } from "../../../src/profile/read/read.ts";
import { parsePerfHead } from "../../../src/profile/read/perf-head.ts";
import { parsePerfFrame } from "../../../src/profile/read/perf-script.ts";
import { listStacks, readBytes, readStacks, sum } from "./helpers.ts";

const perfScript = readFileSync(new URL("../../../fixtures/profile/perf-script.txt", import.meta.url));

describe("folded stacks", () => {
  it("reads kernel marks, spaces in names, fractions and lines without a stack", async () => {
    const text = "a;b c;do_idle_[k] 3\na 1.5\n 2\r\n\na;;b 1e3\n";
    expect(await readStacks(text)).toEqual({
      "a;b c;do_idle[[kernel]]": 3,
      a: 1.5,
      "[no stack]": 2,
      "a;b": 1000,
    });
  });

  it("reads tabs before the weight, comments, Windows line ends and a byte order mark", async () => {
    const { store, report } = await readBytes("\ufeff# made by x\na;b\t3\r\na;c d \t 4\r\n");
    expect(listStacks(store, store.profiles[0])).toEqual({ "a;b": 3, "a;c d": 4 });
    expect(report.damaged).toBe(0);
    expect(describeReport(report)).toBeNull();
  });

  it("says in words what it left out", async () => {
    const { report } = await readBytes("a;b 3\nc -4\nno number\n");
    expect(describeReport(report)).toBe(
      "1 damaged line not converted; left out: 1 entry with a negative value",
    );
  });

  it("counts lines that are none", async () => {
    const { report } = await readBytes("a;b 3\nno number\n-\nc -4\n7\n");
    expect(report.damaged).toBe(3);
    expect(report.ignored.get("entries with a negative value")).toBe(1);
  });

  it("gives the stacks again at any piece size", async () => {
    // Generating from the expression takes seconds; filtering does not.
    const frame = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
      .filter((text) => /^[^;\s\p{C}](?:[^;\r\n\p{C}]*[^;\s\p{C}])?$/u.test(text) && !text.endsWith("_[k]"));
    const line = fc.tuple(fc.array(frame, { minLength: 1, maxLength: 5 }), fc.nat());
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 40 }),
        async (lines, piece) => {
          const wanted: Record<string, number> = {};
          for (const [stack, count] of lines)
            wanted[stack.join(";")] = (wanted[stack.join(";")] ?? 0) + count;
          const text = lines.map(([stack, count]) => `${stack.join(";")} ${count}`).join("\n");
          expect(await readStacks(`a;b 0\n${text}`, piece)).toEqual({ ...wanted, "a;b": wanted["a;b"] ?? 0 });
        },
      ),
    );
  });
});

describe("perf script", () => {
  it("reads a recording: every sample counts one", async () => {
    const { store, report } = await readBytes(perfScript);
    const stacks = listStacks(store, store.profiles[0]);
    const heads = perfScript.toString().match(/^\S.*cpu-clock/gm)?.length ?? 0;
    expect(heads).toBe(40);
    expect(sum(Object.values(stacks))).toBe(heads);
    expect(report).toMatchObject({ format: "perf-script", samples: heads, damaged: 0 });
    expect(store.profiles[0]?.order).toBe("time");
    expect(Object.keys(stacks).join("\n")).toMatch(/^gzip;\[gzip\]\[\/usr\/bin\/gzip\]$/m);
    expect(Object.keys(stacks).join("\n")).toMatch(/;do_syscall_64\[\[kernel\]\]/);
  });

  it("reads what perf prints without call chains, and several events apart", async () => {
    const text =
      "  V8 Worker  12/13 [000] 1.5:  250000 cycles:u:   7f12ab foo(int)+0x1f (/usr/lib/x.so)\n" +
      "       node    14 [001] 2.5:       1 sched:sched_switch: prev_comm=a prev_pid=3\n";
    const { store } = await readBytes(text);
    expect(store.profiles.map((data) => [data.name, listStacks(store, data)])).toEqual([
      ["input cycles:u", { "V8 Worker;foo(int)[/usr/lib/x.so]": 1 }],
      ["input sched:sched_switch", { node: 1 }],
    ]);
  });

  it.each([
    ["node 12 [003] 1.25: 10101010 cpu-clock:ppp: ", { comm: "node", event: "cpu-clock:ppp", rest: "" }],
    ["a b: c 12/12 1.25: cycles: ", { comm: "a b: c", event: "cycles", rest: "" }],
    ["node 12 cycles:", { comm: "node", event: "cycles", rest: "" }],
    [":-1 -1 [000] 1.2: 5 cycles:P: ", { comm: ":-1", event: "cycles:P", rest: "" }],
  ])("knows the head line %j", (text, head) => {
    expect(parsePerfHead(text)).toEqual(head);
  });

  it.each([
    ["7f12ab foo+0x1f (/memfd:jit (deleted))", { name: "foo", file: "/memfd:jit (deleted)" }],
    ["ffffffff81000000 [unknown] ([kernel.kallsyms])", { name: "[unknown]", file: "[kernel]" }],
    ["7f12ab [unknown] (/usr/lib/libc.so.6)", { name: "[libc.so.6]", file: "/usr/lib/libc.so.6" }],
    ["7f12ab [unknown] (/tmp/perf-12.map)", { name: "[JIT]", file: "[JIT]" }],
    ["7f12ab [unknown] ([unknown])", { name: "[unknown]" }],
    ["7f12ab ns::f(void (*)(int)) (inlined)", { name: "ns::f(void (*)(int))" }],
    ["file.c:12", null],
  ])("knows the frame %j", (text, frame) => {
    expect(parsePerfFrame(text)).toEqual(frame);
  });

  it("never throws, whatever the bytes", async () => {
    const piece = fc.constantFrom(
      "comm 1 [0] 1.0: cycles:\n",
      "\t7f00 f (m)\n",
      "\n",
      "\t",
      " ",
      "x",
      "\xff",
      "# c\n",
      "(",
      ")",
      "1.0:",
      "\r\n",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 40 }),
        fc.integer({ min: 1, max: 30 }),
        async (pieces, size) => {
          const text = Buffer.from(
            `comm 1 [000] 1.0: cycles: \n\t7f00 f (m)\n\n${pieces.join("")}`,
            "latin1",
          );
          const { store, report } = await readBytes(text, size);
          expect(sum(store.profiles.map(({ total }) => total))).toBe(report.samples);
        },
      ),
    );
  });
});

/** A sampled profile with everything but its samples. */
const sampled = (extra: object): object => ({
  type: "sampled",
  name: "p",
  unit: "none",
  startValue: 0,
  endValue: 1,
  ...extra,
});
/** A file of these profiles over two frames. */
const file = (
  profiles: object[],
  frames: object[] = [{ name: "a" }, { name: "b", file: "m", line: 3 }],
): string =>
  JSON.stringify({
    $schema: "https://www.speedscope.app/file-format-schema.json",
    profiles,
    shared: { frames },
    activeProfileIndex: 1,
  });

describe("speedscope", () => {
  it("reads sampled profiles, their units and the one shown first", async () => {
    const text = file([
      sampled({ unit: "bytes", samples: [[0], [0, 1], []], weights: [1, 2.5, 4] }),
      sampled({ name: "second", unit: "seconds", samples: [[1]], weights: [0.5] }),
    ]);
    const { store, report } = await readBytes(text, 3);
    expect(store.profiles.map((data) => [data.name, data.unit, listStacks(store, data)])).toEqual([
      ["p", "bytes", { a: 1, "a;b[m]": 2.5, "": 4 }],
      ["second", "seconds", { "b[m]": 0.5 }],
    ]);
    expect(store.active).toBe(1);
    expect(report.damaged).toBe(0);
  });

  it("reads evented profiles", async () => {
    const events = [
      { type: "O", frame: 0, at: 10 },
      { type: "O", frame: 1, at: 12 },
      { type: "C", frame: 1, at: 15 },
      { type: "C", frame: 0, at: 16 },
    ];
    const profile = {
      type: "evented",
      name: "e",
      unit: "milliseconds",
      startValue: 10,
      endValue: 16,
      events,
    };
    expect(await readStacks(file([profile]))).toEqual({ a: 3, "a;b[m]": 3 });
    // Before the first event and after the last nothing ran; a frame that is still open did.
    const longer = { ...profile, startValue: 5, endValue: 20 };
    expect(await readStacks(file([longer]))).toEqual({ "": 9, a: 3, "a;b[m]": 3 });
    const { store, report } = await readBytes(file([{ ...longer, events: events.slice(0, 3) }]));
    expect(listStacks(store, store.profiles[0])).toEqual({ "": 5, a: 7, "a;b[m]": 3 });
    expect(report.damaged).toBe(1);
  });

  it("counts what speedscope would throw on", async () => {
    const { store, report } = await readBytes(
      file([sampled({ samples: [[0], [7], [-1], [0.5], [0]], weights: [1, 1, 1, 1, -2, 3] })]),
    );
    expect(listStacks(store, store.profiles[0])).toEqual({ a: 1 });
    expect(report.damaged).toBe(3 + 1);
    expect(report.ignored.get("entries with a negative value")).toBe(1);
  });

  it("counts events that do not match", async () => {
    const events = [
      { type: "O", frame: 0, at: 1 },
      { type: "C", frame: 1, at: 3 },
      { type: "X", frame: 1, at: 3 },
      { type: "O", frame: 1, at: 2 },
    ];
    const { report } = await readBytes(file([{ type: "evented", name: "e", unit: "none", events }]));
    expect(report.damaged).toBe(5);
  });

  it("is read packed, indented, and with its keys in any order", async () => {
    const shared = { frames: [{ name: 'ä\u0000"' }] };
    const text = JSON.stringify(
      { shared, profiles: [{ weights: [2], samples: [[0]], unit: "none", name: "x", type: "sampled" }] },
      null,
      2,
    );
    expect(await readStacks(text)).toEqual({ 'ä\u0000"': 2 });
    // gzip is the source's business: a packed profile inside of a packed file is no profile.
    await expect(readBytes(gzipSync(text))).rejects.toMatchObject({ message: "cannot convert input" });
  });

  it("never throws but for an input without any stack, whatever the bytes", async () => {
    const piece = fc.constantFrom(
      '"profiles":[',
      '{"type":"sampled"',
      '"samples":[[0]]',
      '"weights":[1]',
      ",",
      "}",
      "]",
      "{",
      "[",
      '"',
      "\\",
      "1e400",
      "-1",
      "null",
      '"shared":{"frames":[{"name":"z"}]}',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 40 }),
        fc.integer({ min: 1, max: 20 }),
        async (pieces, size) => {
          const head = file([sampled({ samples: [[0]], weights: [1] })]);
          const { store } = await readBytes(head + pieces.join(""), size);
          expect(store.profiles.every(({ total }) => Number.isFinite(total))).toBe(true);
        },
      ),
    );
  });
});

describe("what is no profile", () => {
  it.each([
    ["PERFILE2abc", "it is perf's own binary format"],
    ["hello world\n", "it is no profile that trace knows"],
    ['{"traceEvents":[]}', "it is no profile that trace knows"],
    ["\n\u0004\u0008\u0001\u0010\u0002\u0012\u0040garbage", "read as pprof: 1 damaged"],
  ])("%j is refused with its reason", async (text, why) => {
    await expect(readBytes(text)).rejects.toMatchObject({ code: 1, why });
  });

  it("a profile as Go writes it: CPU time is what is looked at, and labels are told to be left out", async () => {
    const packed = readFileSync(new URL("../../../fixtures/profile/go-cpu.pb.gz", import.meta.url));
    const { store, report } = await readBytes(gunzipSync(packed));
    expect(store.profiles.map(({ name, unit }) => [name, unit])).toEqual([
      ["input samples", "none"],
      ["input cpu", "nanoseconds"],
    ]);
    expect(store.active).toBe(1);
    const [samples, cpu] = store.profiles;
    expect(cpu?.total).toBe((samples?.total ?? 0) * 1e7);
    expect(Object.keys(listStacks(store, cpu)).some((stack) => stack.includes("main.spin"))).toBe(true);
    expect(describeReport(report)).toMatch(/^left out: \d+ labels \(customer, stage\)$/);
  });

  it("an empty input says so", async () => {
    await expect(readBytes("")).rejects.toMatchObject({
      message: "nothing to convert in input",
      why: "it is empty",
    });
  });
});
