import { describe, expect, it } from "vitest";
import { changeOf, changeOfNew, changeOfWrapping, hasMoved } from "../../../src/evidence/change.ts";
import { mapLimited } from "../../../src/evidence/limit.ts";

describe("changes", () => {
  it("are unknown where one end is", () => {
    expect(changeOf(null, 5)).toEqual({ before: null, after: 5, delta: null });
    expect(changeOf(5, undefined)).toEqual({ before: 5, after: null, delta: null });
    expect(hasMoved(changeOf(null, 5))).toBe(false);
  });

  it("count at least what is there after a counter went back", () => {
    expect(changeOf(100, 5)).toEqual({ before: 100, after: 5, delta: 5 });
  });

  it("count everything of what is new", () => {
    expect(changeOfNew(7)).toEqual({ before: null, after: 7, delta: 7 });
    expect(changeOfNew(null).delta).toBeNull();
  });

  it("wrap at 32 bits", () => {
    expect(changeOfWrapping(0xffff_fffe, 3).delta).toBe(5);
    expect(changeOfWrapping(null, 3).delta).toBeNull();
  });
});

describe("mapLimited", () => {
  it("keeps the order, runs no more than allowed at once, and starts the first ones first", async () => {
    const started: number[] = [];
    let running = 0;
    let most = 0;
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const all = mapLimited([0, 1, 2, 3, 4], 2, async (item, index) => {
      started.push(index);
      most = Math.max(most, (running += 1));
      await gates[item]?.promise;
      running -= 1;
      return item * 10;
    });
    for (const index of [1, 0, 3, 2, 4]) {
      gates[index]?.resolve();
      // Lets the workers take the next item.
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    }
    expect(await all).toEqual([0, 10, 20, 30, 40]);
    expect(started).toEqual([0, 1, 2, 3, 4]);
    expect(most).toBe(2);
  });

  it("does nothing for nothing", async () => {
    expect(await mapLimited([], 4, async () => 1)).toEqual([]);
  });
});
