import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFromBuffer } from "../../../src/symbols/byte-source.ts";
import { DEFAULT_LIMITS, type SymbolLimits } from "../../../src/symbols/limits.ts";
import { PerfMap } from "../../../src/symbols/perf-map.ts";

function open(text: string | Buffer, limits: Partial<SymbolLimits> = {}) {
  const bytes = Buffer.from(text);
  const map = new PerfMap(readFromBuffer(bytes), { ...DEFAULT_LIMITS, ...limits });
  map.update(bytes.length);
  const nameAt = (address: number): string | null => {
    const entry = map.find(address);
    return entry === -1 ? null : map.readName(entry);
  };
  return { map, nameAt };
}

describe("PerfMap", () => {
  it("finds names by address, with anything in them", () => {
    const { map, nameAt } = open(
      "7f0000001000 20 JS:*render /app/my view.js:10:21\n7F0000001020 10 a \u{1f600} <b>  \n0x7f0000002000 0x8 prefixed\n",
    );
    expect(map.counts).toEqual({ entries: 3, malformed: 0, truncated: false });
    expect(nameAt(0x7f0000000fff)).toBeNull();
    expect(nameAt(0x7f000000101f)).toBe("JS:*render /app/my view.js:10:21");
    expect(nameAt(0x7f0000001020)).toBe("a \u{1f600} <b>  ");
    expect(nameAt(0x7f0000001030)).toBeNull();
    expect(nameAt(0x7f0000002007)).toBe("prefixed");
  });

  it("lets the later line win where memory was used again", () => {
    const { nameAt } = open("1000 100 old\n1080 100 newer\n1000 10 newest\n");
    expect([0x1000, 0x1010, 0x107f, 0x1080, 0x117f, 0x1180].map(nameAt)).toEqual([
      "newest",
      "old",
      "old",
      "newer",
      "newer",
      null,
    ]);
  });

  it("counts lines it cannot read, and ignores code without size", () => {
    const { map, nameAt } = open(
      "\nnonsense\n1000 zz name\n1000 10\n1000 10 \nfffffffffffffffff 10 far\n2000 0 empty\n3000 10 good\n",
    );
    expect(map.counts).toMatchObject({ entries: 1, malformed: 5 });
    expect(nameAt(0x3000)).toBe("good");
    expect(nameAt(0x2000)).toBeNull();
  });

  it("reads on where it stopped, and waits for the end of an unfinished line", () => {
    const bytes = Buffer.from("1000 10 first\n2000 10 second\n1000 10 third\n");
    const map = new PerfMap(readFromBuffer(bytes), DEFAULT_LIMITS);
    const seen: number[] = [];
    for (let size = 0; size <= bytes.length; size++) {
      map.update(size);
      if (map.counts.entries !== seen.length) seen.push(size);
    }
    expect(seen).toEqual([14, 29, 43]);
    expect(map.readName(map.find(0x1000))).toBe("third");
    expect(map.counts.malformed).toBe(0);
  });

  it("passes over a line longer than it reads at once", () => {
    const { map, nameAt } = open(`1000 10 before\n2000 10 ${"x".repeat(3_000_000)}\n3000 10 after\n`);
    expect(map.counts).toEqual({ entries: 2, malformed: 1, truncated: false });
    expect([0x1000, 0x2000, 0x3000].map(nameAt)).toEqual(["before", null, "after"]);
  });

  it("cuts names at the limit", () => {
    expect(open(`1000 10 ${"y".repeat(900)}\n`, { nameBytes: 300 }).nameAt(0x1000)).toBe("y".repeat(300));
    expect(open(`1000 10 ${"y".repeat(900)}\n`).nameAt(0x1000)).toBe("y".repeat(900));
  });

  it("stops at the limits and says so", () => {
    const lines = Array.from({ length: 5000 }, (_, i) => `${(0x1000 + i * 16).toString(16)} 10 f${i}\n`).join(
      "",
    );
    expect(open(lines, { perfMapEntries: 2000 }).map.counts).toMatchObject({
      entries: 2000,
      truncated: true,
    });
    const short = open(lines, { perfMapBytes: 1000 });
    expect(short.map.counts.truncated).toBe(true);
    expect(short.map.counts.entries).toBeLessThan(100);
  });

  it("shares a budget with other maps and gives it back", () => {
    const budget = { left: 1500 };
    const lines = Array.from({ length: 3000 }, (_, i) => `${(0x1000 + i * 16).toString(16)} 10 f${i}\n`).join(
      "",
    );
    const source = readFromBuffer(Buffer.from(lines));
    const map = new PerfMap(source, DEFAULT_LIMITS, budget);
    map.update(lines.length);
    expect(map.counts).toMatchObject({ entries: 1500, truncated: true });
    expect(budget.left).toBe(0);
    map.close();
    expect(budget.left).toBe(1500);
  });

  it("never throws, and finds exactly what a plain reading finds", () => {
    const good = fc
      .tuple(
        fc.nat({ max: 200 }),
        fc.integer({ min: 1, max: 60 }),
        fc.string({ minLength: 1, unit: "grapheme-ascii" }),
      )
      .map(([start, size, name]) => ({
        text: `${start.toString(16)} ${size.toString(16)} ${name}`,
        start,
        size,
        name,
      }));
    const bad = fc
      .string({ unit: "binary" })
      .map((text) => ({ text: `!${text.replaceAll("\n", "")}`, start: 0, size: 0, name: "" }));
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 4, arbitrary: good }, { weight: 1, arbitrary: bad })),
        (lines) => {
          const { nameAt } = open(lines.map((line) => `${line.text}\n`).join(""));
          for (let at = 0; at < 270; at += 3) {
            const wanted = lines.findLast((line) => at >= line.start && at < line.start + line.size);
            expect(nameAt(at)).toBe(wanted?.name ?? null);
          }
        },
      ),
    );
  });
});
