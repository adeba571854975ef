import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { listStacks, readBytes, readStacks, sum } from "./helpers.ts";

const VERSIONS = ["0.11.3", "0.17.0", "0.23.2", "0.27.0"];

function readFixture(version: string, name: string): Buffer {
  return readFileSync(new URL(`../../../fixtures/profile/${version}/${name}`, import.meta.url));
}

describe("recordings of four versions", () => {
  it.each(VERSIONS)("%s: kstack, ustack, comm", async (version) => {
    const { store, report } = await readBytes(readFixture(version, "kstack_ustack_comm.json"));
    const stacks = listStacks(store, store.profiles[0]);
    expect(report.damaged).toBe(0);
    expect(Object.keys(stacks).every((stack) => stack.startsWith("busybee;"))).toBe(true);
    const path = Object.keys(stacks).find((stack) => stack.includes("do_syscall_64"));
    expect(path).toMatch(/^busybee;0x7fe56225b000;getppid;.*do_syscall_64\[\[kernel\]\]/);
  });

  it.each(VERSIONS)("%s: perf style, user stack first", async (version) => {
    const stacks = await readStacks(readFixture(version, "ustack_perf.json"));
    expect(Object.keys(stacks).join("\n")).toMatch(
      /;_?Py\w+\[\/root\/.*libpython3.11.so.1.0\]|^object_dealloc/m,
    );
  });

  it.each(VERSIONS)("%s: the same total as in the file", async (version) => {
    const text = readFixture(version, "kstack_map.json");
    const values = [...text.toString().matchAll(/": (\d+)[,}]/g)].map((match) => Number(match[1]));
    // The banner holds one such number too: the count of the probes.
    expect(sum(Object.values(await readStacks(text)))).toBe(sum(values) - 2 * (version === "0.27.0" ? 2 : 1));
  });
});

describe("records", () => {
  it("skips lines that are no record, and counts records that are no map", async () => {
    const text =
      'stdin:1:1-2: WARNING: odd\n{"type": "printf", "data": "x {\\"type\\": \\"map\\"}"}\n' +
      '{"type": "map", "data": {"@": {"\\n    a+1\\n,x": 2}}}\n\n{"type": "lost_events", "data": {"events": 7}}\n';
    const { store, report } = await readBytes(text);
    expect(listStacks(store, store.profiles[0])).toEqual({ "x;a": 2 });
    expect(Object.fromEntries(report.ignored)).toEqual({
      "other lines": 1,
      "records that are no map": 1,
    });
    expect(Object.fromEntries(report.missing)).toEqual({ "events that bpftrace lost": 7 });
  });

  it("tells what bpftrace lost, also what it printed on the other stream", async () => {
    const { report } = await readBytes(
      'ERROR: failed to look up stack id 5 (pid 3): -17\n{"type": "map", "data": {"@": {"\\n    a+1\\n,x": 2}}}\n' +
        '{"type": "helper_error", "msg": "Argument list too long", "helper": "map_update_elem", "retcode": -7}\n',
    );
    expect(Object.values(Object.fromEntries(report.missing))).toEqual([1, 1]);
    expect(report.ignored.size).toBe(0);
  });

  it("separates addresses from names where 0.24 and later deleted the space", async () => {
    const key = String.raw`"\n\tffffffff81000130entry_SYSCALL_64+118\n\tffffffff81000131add_wait+1\n,\n\t7fe561f58ba7call+55(/lib/x.so)\n,x"`;
    expect(
      await readStacks(`{"type": "map", "data": {"@": {${key.replaceAll("\\\\", "\\")}: 2}}}\n`),
    ).toEqual({
      "x;call[/lib/x.so];add_wait[[kernel]];entry_SYSCALL_64[[kernel]]": 2,
    });
  });

  it("repairs the bytes that 0.17 and later print wrongly", async () => {
    const text = '{"type": "map", "data": {"@": {"\\n    f\\uffffffc3\\uffffffa9+1\\n,x": 2}}}\n';
    expect(await readStacks(text)).toEqual({ "x;fé": 2 });
  });

  it("keeps what is whole of a record that ends in the middle", async () => {
    const text = '{"type": "map", "data": {"@": {"\\n    a+1\\n": 2, "\\n    b+1\\n": 3, "\\n    c';
    const { store, report } = await readBytes(text);
    expect(listStacks(store, store.profiles[0])).toEqual({ a: 2, b: 3 });
    expect(report.damaged).toBe(1);
    const cut = await readBytes(`${text}\n{"type": "map", "data": {"@": {"\\n    a+1\\n": 5}}}\n`);
    expect(listStacks(cut.store, cut.store.profiles[0])).toEqual({ a: 7, b: 3 });
    expect(cut.report.damaged).toBe(1);
  });

  it("sums stats() and leaves out averages and histograms", async () => {
    const text =
      '{"type": "stats", "data": {"@s": {    "\\n    a+1\\n": {"count": 2, "average": 3, "total": 6}}}}\n' +
      '{"type": "stats", "data": {"@a": {"\\n    a+1\\n": 9}}}\n' +
      '{"type": "hist", "data": {"@h": {"\\n    a+1\\n": [{"min": 8, "max": 15, "count": 1}]}}}\n';
    const { store, report } = await readBytes(text);
    expect(store.profiles.map(({ name, total }) => [name, total])).toEqual([["@s", 6]]);
    expect([...report.ignored.keys()]).toEqual(["averages, which do not add up", "histograms"]);
  });
});

describe("properties", () => {
  const comm = fc
    .string({ unit: "binary", minLength: 1, maxLength: 6 })
    .filter((text) => !/[,\n]/.test(text) && text.isWellFormed());
  const symbol = fc.stringMatching(/^[g-z][A-Za-z_:<>]{0,8}$/);

  it("gives the entries again, at any block size", async () => {
    const entry = fc.record({
      stack: fc.array(symbol, { minLength: 1, maxLength: 5 }),
      comm,
      count: fc.nat(1e9),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 50 }),
        async (entries, block) => {
          const wanted: Record<string, number> = {};
          const parts = entries.map(({ stack, comm: text, count }) => {
            const key = [text, ...stack.toReversed()].join(";");
            wanted[key] = (wanted[key] ?? 0) + count;
            return `${JSON.stringify(`\n${stack.map((name) => `    ${name}+12\n`).join("")},${text}`)}: ${count}`;
          });
          expect(await readStacks(`{"type": "map", "data": {"@": {${parts.join(", ")}}}}\n`, block)).toEqual(
            wanted,
          );
        },
      ),
    );
  });

  it("never throws but for an input without any stack, whatever the bytes", async () => {
    const piece = fc.constantFrom(
      '{"type": "map"',
      '"data": {',
      '"@": {',
      '"\\n    f+1\\n"',
      ": 1",
      ",",
      "}",
      "\n",
      '"',
      "\\",
      "[",
      "]",
      "{",
      "\xff",
      "nul",
      "1e9",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 40 }),
        fc.integer({ min: 1, max: 20 }),
        async (pieces, block) => {
          const head = '{"type": "map", "data": {"@": {"\\n    f+1\\n": 1}}}\n';
          const { store } = await readBytes(Buffer.from(head + pieces.join(""), "latin1"), block);
          expect(store.profiles.every(({ total }) => Number.isFinite(total) && total >= 1)).toBe(true);
        },
      ),
    );
  });
});
