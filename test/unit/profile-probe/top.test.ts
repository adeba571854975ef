import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawPath } from "../../../probes/profile/path.ts";
import { countFrames, findHottestPath } from "../../../src/profile/samples/top.ts";

const FRAMES = Array.from({ length: 6 }, (_, n) => ({ name: `f${n}` }));
const stack = (text: string, count: number) => ({
  frames: text.split("").map((digit) => FRAMES[Number(digit)] ?? { name: "?" }),
  count,
});

describe("countFrames", () => {
  it("counts a function that calls itself once a sample", () => {
    const top = countFrames([stack("0112", 3), stack("01", 2)]);
    expect(top.map(({ frame, self, total }) => [frame.name, self, total])).toEqual([
      ["f2", 3, 3],
      ["f1", 2, 5],
      ["f0", 0, 5],
    ]);
  });

  it("hands every sample to exactly one function", () => {
    const digits = fc.array(fc.nat(5), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.array(fc.tuple(digits, fc.integer({ min: 1, max: 50 }))), (input) => {
        const stacks = input.map(([path, count]) => stack(path.join(""), count));
        const total = stacks.reduce((sum, { count }) => sum + count, 0);
        const top = countFrames(stacks);
        expect(top.reduce((sum, { self }) => sum + self, 0)).toBe(total);
        for (const { self, total: all } of top) {
          expect(self).toBeLessThanOrEqual(all);
          expect(all).toBeLessThanOrEqual(total);
        }
      }),
    );
  });
});

describe("the hottest path", () => {
  it("follows the callee with most samples and stops where it no longer matters", () => {
    const path = findHottestPath([stack("012", 60), stack("013", 30), stack("04", 9), stack("0125", 1)]);
    expect(path.map(({ frame, count }) => [frame.name, count])).toEqual([
      ["f0", 100],
      ["f1", 91],
      ["f2", 61],
    ]);
  });

  it("fits the report however deep it is", () => {
    const path = Array.from({ length: 120 }, (_, n) => ({
      frame: { name: `level ${n}` },
      count: 1000 - 7 * n,
    }));
    const [table] = drawPath(path, 1000);
    expect(table?.kind === "table" ? table.rows.length : 0).toBe(18);
    const flat = Array.from({ length: 120 }, (_, n) => ({ frame: { name: `level ${n}` }, count: 1000 }));
    const [short] = drawPath(flat, 1000);
    expect(short?.kind === "table" ? short.rows.map((row) => row[2]) : []).toEqual([
      "level 0",
      "… 118 more",
      "level 119",
    ]);
    expect(drawPath([], 0)).toEqual([]);
  });
});
