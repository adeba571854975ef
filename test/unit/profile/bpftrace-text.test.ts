import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeReport } from "../../../src/profile/read/read.ts";
import { listStacks, readBytes, readStacks, sum } from "./helpers.ts";

const VERSIONS = ["0.11.3", "0.17.0", "0.23.2", "0.27.0"];

function readFixture(version: string, name: string): Buffer {
  return readFileSync(new URL(`../../../fixtures/profile/${version}/${name}`, import.meta.url));
}

/** The values behind `]: ` of a fixture: what must come out again, to the last sample. */
function sumValues(text: string): number {
  return sum([...text.matchAll(/^(?:@\[.*)?(?:, .*)?\]: (\d+)$/gm)].map((match) => Number(match[1])));
}

describe("recordings of four versions", () => {
  it.each(VERSIONS)("%s: kstack, ustack, comm", async (version) => {
    const text = readFixture(version, "kstack_ustack_comm.txt");
    const { store, report } = await readBytes(text);
    const stacks = listStacks(store, store.profiles[0]);
    expect(report.damaged).toBe(0);
    expect(sum(Object.values(stacks))).toBe(sumValues(text.toString()));
    expect(Object.keys(stacks).every((stack) => stack.startsWith("busybee;"))).toBe(true);
    const inKernel = Object.keys(stacks).filter((stack) => stack.includes("do_syscall_64"));
    expect(inKernel.length).toBeGreaterThan(0);
    for (const stack of inKernel)
      expect(stack).toMatch(/^busybee;0x7fe56225b000;getppid;.*do_syscall_64\[\[kernel\]\]/);
  });

  it.each(VERSIONS)("%s: perf style, user stack first", async (version) => {
    const text = readFixture(version, "ustack_perf.txt");
    const stacks = await readStacks(text);
    expect(sum(Object.values(stacks))).toBe(sumValues(text.toString()));
    const path = Object.keys(stacks).find(
      (stack) => stack.includes("getppid") && stack.includes("do_syscall_64"),
    );
    expect(path).toMatch(/^0x7fe56225b000;getppid\[\/usr\/lib\/x86_64-linux-gnu\/libc.so.6\];/);
    expect(path).toMatch(/do_syscall_64\[\[kernel\]\]/);
  });

  it.each(VERSIONS)("%s: kernel stacks only, the empty one too", async (version) => {
    const text = readFixture(version, "kstack_map.txt");
    const stacks = await readStacks(text);
    expect(sum(Object.values(stacks))).toBe(sumValues(text.toString()));
    expect(stacks["[no stack]"]).toBeGreaterThan(0);
  });

  it.each(VERSIONS)("%s: tables are no profiles", async (version) => {
    await expect(readBytes(readFixture(version, "aggs.txt"))).rejects.toMatchObject({
      message: "no stacks in input",
      why: expect.stringContaining("2 histograms"),
    });
  });
});

describe("shapes", () => {
  it("finds a stack at every place of the key", async () => {
    expect(await readStacks("@[1, a, \n    leaf+1\n    root+2\n]: 3\n")).toEqual({ "1;a;root;leaf": 3 });
    expect(await readStacks("@[\n    leaf+1\n    root+2\n, a, 1]: 3\n")).toEqual({ "a;1;root;leaf": 3 });
    expect(await readStacks("@[a, \n    leaf+1\n    root+2\n, 1]: 3\n")).toEqual({ "a;1;root;leaf": 3 });
  });

  it("puts the kernel's stack at the leaf end, wherever it stands in the key", async () => {
    const kernel = "\n    vfs_read+1\n    entry_SYSCALL_64_after_hwframe+9\n";
    const user = "\n    read+1\n    main+2\n";
    const wanted = { "main;read;entry_SYSCALL_64_after_hwframe[[kernel]];vfs_read[[kernel]]": 1 };
    expect(await readStacks(`@[${kernel}, ${user}]: 1\n`)).toEqual(wanted);
    expect(await readStacks(`@[${user}, ${kernel}]: 1\n`)).toEqual(wanted);
  });

  it("learns from a map's other entries whose stack a short one is", async () => {
    const known = "@[\n    a+1\n    main+1\n, \n    b+1\n    ret_from_fork+1\n]: 1\n";
    const stacks = await readStacks(`@[\n    x+1\n, \n    y+1\n]: 2\n${known}`);
    expect(stacks).toHaveProperty(["x;y[[kernel]]"], 2);
  });

  it("keeps several maps apart", async () => {
    const text = "@on[\n    a+1\n]: 1\n\n@off[\n    a+1\n]: 20\n@off[\n    b+1\n]: 3\n@n: 24\n";
    const { store } = await readBytes(text);
    expect(store.profiles.map(({ name, total }) => [name, total])).toEqual([
      ["@on", 1],
      ["@off", 23],
    ]);
  });

  it("sums what stats() counted, and leaves out histograms and strings", async () => {
    const text =
      "@[\n    a+1\n]: count 2, average 15, total 30\n@[\n    a+1\n]: { .count = 1, .average = 5, .total = 5 }\n" +
      "@[\n    b+1\n]: \n[2, 4)       1 |@@@|\n\n@[\n    c+1\n]: (1, x, 7)\n@[\n    d+1\n]: -4\n";
    const { store, report } = await readBytes(text);
    expect(listStacks(store, store.profiles[0])).toEqual({ a: 35 });
    expect(Object.fromEntries(report.ignored)).toEqual({
      histograms: 1,
      "other lines": 1,
      "entries whose value is no number": 1,
      "entries with a negative value": 1,
    });
  });

  it("reads raw addresses and Windows line ends", async () => {
    expect(await readStacks("@[\r\n    ffffffff8226e639\r\n    ffffffff813b4872\r\n, x]: 2\r\n")).toEqual({
      "x;0xffffffff813b4872[[kernel]];0xffffffff8226e639[[kernel]]": 2,
    });
  });

  it("takes a newline in a comm for what it is", async () => {
    const stacks = await readStacks("@[\n    f+1\n, we\nird]: 4\n@[\n    g+1\n, ok]: 1\n");
    expect(stacks).toEqual({ "we;ird;f": 4, "ok;g": 1 });
  });
});

describe("hostile names", () => {
  it.each([
    ["@[", "@["],
    ["@x[y", "@x[y"],
    ["x]: 7", "x]: 7"],
    ["a, b", "a;b"],
    ["]: 2", "]: 2"],
    ["@[]: 9", "@[]: 9"],
  ])("comm %j is no entry of its own", async (comm, shown) => {
    expect(await readStacks(`@[\n    f+1\n, ${comm}, 12]: 4\n@[\n    f+1\n, ok, 1]: 3\n`)).toEqual({
      [`${shown};12;f`]: 4,
      "ok;1;f": 3,
    });
  });
});

describe("what bpftrace lost", () => {
  it("is told", async () => {
    const { store, report } = await readBytes(
      "Attaching 1 probe...\nLost 16 events\nERROR: failed to look up stack id 5 (pid 3): -17\nLost 4 events\n" +
        "stdin:1:25-39: WARNING: Map full; can't update element. Try increasing max_map_keys config\n@[, x]: 2\n@[\n    f+1\n, x]: 3\n",
    );
    expect(listStacks(store, store.profiles[0])).toEqual({ x: 2, "x;f": 3 });
    expect(describeReport(report)).toMatch(
      /^missing from the start: 20 events that bpftrace lost, 1 stack that bpftrace failed .*, 1 warning of a full map/,
    );
  });
});

describe("damage", () => {
  it("counts the lines of entries without head or end, and converts the rest", async () => {
    const whole = "@[\n    a+1\n    b+1\n, x]: 5\n";
    const { store, report } = await readBytes(
      `    lost+1\n, y]: 3\n${whole}@[\n    c+1\n${whole}@[\n    d+1\n`,
    );
    expect(listStacks(store, store.profiles[0])).toEqual({ "x;b;a": 10 });
    expect(report.damaged).toBe(2 + 2 + 2);
  });

  it("never throws but for an input without any stack, whatever the bytes", async () => {
    const piece = fc.constantFrom(
      "@[",
      "\n",
      "    f+1",
      ", ",
      "]: ",
      "7",
      "@x[",
      "]",
      "\t7f00 g (m)",
      "\xff",
      "@",
      " ",
      ":",
      "\r",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        async (pieces, block) => {
          const text = Buffer.from(`@[\n    f+1\n]: 1\n${pieces.join("")}`, "latin1");
          const { store } = await readBytes(text, block);
          expect(store.profiles.every(({ total }) => Number.isFinite(total) && total >= 0)).toBe(true);
        },
      ),
    );
  });
});

describe("round trip", () => {
  const name = fc
    .stringMatching(/^[A-Za-z_~<>:()&*. 0-9-]{0,11}[A-Za-z_]$/)
    .filter((text) => !/^[ .]|^0x|^[0-9a-f]+ |^[0-9a-f]{9,}$/.test(text));
  const stack = fc.array(fc.tuple(name, fc.nat(4095)), { maxLength: 6 });
  const entry = fc.record({
    user: stack,
    comm: fc.stringMatching(/^[a-z\]:[ ]{1,6}[a-z]$/),
    count: fc.nat(1e6),
  });

  it.each([
    ["before 0.23", "    ", false],
    ["since 0.23", "        ", true],
  ])(
    "gives the entries again, as printed %s, at any block size",
    async (_title, indent, newlineWhenEmpty) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(entry, { minLength: 1, maxLength: 8 }),
          fc.integer({ min: 3, max: 80 }),
          async (entries, block) => {
            const wanted: Record<string, number> = { "x;f": 1 };
            let text = "@[\n    f+1\n, x]: 1\n";
            for (const { user, comm, count } of entries) {
              const lines = user.map(([symbol, offset]) => `${indent}${symbol}+${offset}\n`).join("");
              text += `@[${lines !== "" || newlineWhenEmpty ? "\n" : ""}${lines}, ${comm}]: ${count}\n`;
              const key = [comm, ...user.map(([symbol]) => symbol).toReversed()].join(";");
              wanted[key] = (wanted[key] ?? 0) + count;
            }
            const stacks = await readStacks(text, block);
            const plain = Object.entries(stacks).map(([key, value]) => [
              key.replaceAll("[[kernel]]", ""),
              value,
            ]);
            expect(Object.fromEntries(plain)).toEqual(wanted);
          },
        ),
      );
    },
  );
});
