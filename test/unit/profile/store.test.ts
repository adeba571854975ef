import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FOLDED_FRAME, type Frame, type Sample } from "../../../src/profile/model.ts";
import { planStore, shareBudget, visitPlan } from "../../../src/profile/store/plan.ts";
import { MAX_DEPTH } from "../../../src/profile/store/prune.ts";
import { collectProfiles, type ProfileStore } from "../../../src/profile/store/store.ts";
import { buildTree } from "../../../src/profile/store/tree.ts";
import { nameStack, sum } from "./helpers.ts";

/** Few names and short stacks: much is shared. */
const stack = fc.array(
  fc.constantFrom("a", "b", "c").map((name): Frame => ({ name })),
  { maxLength: 5 },
);
const samples: fc.Arbitrary<Sample[]> = fc.array(fc.record({ stack, weight: fc.nat(20) }), {
  minLength: 1,
  maxLength: 30,
});

function collect(list: Sample[], order: "time" | "none"): ProfileStore {
  return collectProfiles("test", [{ name: "p", unit: "none", order, samples: list }]);
}

/** The plan's samples as `frame;frame` with their weights, in order. */
function listPlan(store: ProfileStore, budget: number): [string, number][] {
  const visited: [string, number][] = [];
  for (const plan of planStore(store, budget).profiles) {
    visitPlan(plan, (number, length, folded, weight) => {
      const path = nameStack(store, number).split(";").slice(0, length);
      visited.push([[...path, ...(folded ? [FOLDED_FRAME.name] : [])].join(";"), weight]);
    });
  }
  return visited;
}

/** Nodes a viewer makes of samples that are laid end to end. */
function countNodes(visited: readonly (readonly [string, number])[]): number {
  let nodes = 0;
  let previous: string[] = [];
  for (const [key] of visited) {
    const path = key === "" ? [] : key.split(";");
    let shared = 0;
    while (shared < path.length && path[shared] === previous[shared]) shared += 1;
    nodes += path.length - shared;
    previous = path;
  }
  return nodes;
}

function sumByKey(visited: readonly (readonly [string, number])[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [key, weight] of visited) sums[key] = (sums[key] ?? 0) + weight;
  return sums;
}

describe("a profile without order", () => {
  it("comes out depth first, each stack once, with exact weights", () => {
    fc.assert(
      fc.property(samples, (list) => {
        const visited = listPlan(collect(list, "none"), 0);
        expect(sumByKey(visited)).toEqual(
          sumByKey(list.map((sample) => [sample.stack.map(({ name }) => name).join(";"), sample.weight])),
        );
        expect(new Set(visited.map(([key]) => key)).size).toBe(visited.length);
        const distinct = new Set(
          list.flatMap((sample) =>
            sample.stack.map((_, depth) =>
              sample.stack
                .slice(0, depth + 1)
                .map(({ name }) => name)
                .join(";"),
            ),
          ),
        );
        expect(countNodes(visited)).toBe(distinct.size);
      }),
    );
  });

  it("stays within any budget, with the total exact and no kept node without its parent", () => {
    fc.assert(
      fc.property(samples, fc.integer({ min: 1, max: 40 }), (list, budget) => {
        const store = collect(list, "none");
        const visited = listPlan(store, budget);
        expect(countNodes(visited)).toBeLessThanOrEqual(budget);
        expect(sum(visited.map(([, weight]) => weight))).toBe(sum(list.map(({ weight }) => weight)));
        const pruned = planStore(store, budget).pruned;
        expect(pruned === null).toBe(visited.every(([key]) => !key.includes(FOLDED_FRAME.name)));
      }),
    );
  });

  it("folds the lightest subtrees, and keeps the heaviest path whole", () => {
    const heavy = { stack: ["a", "b", "c", "d"].map((name) => ({ name })), weight: 100 };
    const light = Array.from({ length: 50 }, (_, index) => ({
      stack: [{ name: "a" }, { name: `x${index}` }, { name: "y" }],
      weight: 1,
    }));
    const visited = listPlan(collect([...light, heavy], "none"), 8);
    expect(sumByKey(visited)).toMatchObject({
      "a;b;c;d": 100,
      [`a;${FOLDED_FRAME.name}`]: expect.any(Number),
    });
    expect(sum(visited.map(([, weight]) => weight))).toBe(150);
  });

  it("cuts what is too deep for a viewer, without a budget too", () => {
    const deep = Array.from({ length: MAX_DEPTH + 500 }, (_, depth) => ({ name: `f${depth}` }));
    const visited = listPlan(collect([{ stack: deep, weight: 3 }], "none"), 0);
    expect(visited).toHaveLength(1);
    expect(visited[0]?.[0].split(";")).toHaveLength(MAX_DEPTH + 1);
  });
});

describe("a profile in time order", () => {
  it("keeps every sample in its place while the budget allows", () => {
    fc.assert(
      fc.property(samples, (list) => {
        expect(listPlan(collect(list, "time"), 0)).toEqual(
          list.map((sample) => [sample.stack.map(({ name }) => name).join(";"), sample.weight]),
        );
      }),
    );
  });

  it("stays within the budget, with the total exact", () => {
    fc.assert(
      fc.property(samples, fc.integer({ min: 4, max: 60 }), (list, budget) => {
        const visited = listPlan(collect(list, "time"), budget);
        expect(countNodes(visited)).toBeLessThanOrEqual(budget);
        expect(sum(visited.map(([, weight]) => weight))).toBe(sum(list.map(({ weight }) => weight)));
      }),
    );
  });

  it("gives up fine time before it gives up stacks", () => {
    const list = Array.from({ length: 64 }, (_, index) => ({
      stack: [{ name: index % 2 === 0 ? "a" : "b" }, { name: "c" }],
      weight: 1,
    }));
    const store = collect(list, "time");
    const visited = listPlan(store, 40);
    expect(planStore(store, 40).pruned).toMatchObject({ stacks: 0, profiles: [{ window: 8 }] });
    expect(sumByKey(visited)).toEqual({ "a;c": 32, "b;c": 32 });
    expect(visited).toHaveLength(16);
  });
});

it("shares a budget so that small profiles stay whole", () => {
  expect(shareBudget([10, 1000, 500], 400)).toEqual([10, 195, 195]);
  expect(shareBudget([10, 20], 400)).toEqual([10, 20]);
  expect(shareBudget([], 400)).toEqual([]);
});

it("sorts stacks of any shape like a depth-first walk", () => {
  fc.assert(
    fc.property(samples, (list) => {
      const store = collect(list, "none");
      const [data] = store.profiles;
      if (data === undefined) throw new Error("no profile");
      const tree = buildTree(store, data);
      const paths = Array.from(tree.list, (number) => {
        const start = store.stacks.start(number);
        return [...store.stacks.ids.data.subarray(start, start + store.stacks.depth(number))];
      });
      const sorted = paths.toSorted((one, two) => {
        for (let depth = 0; depth < Math.min(one.length, two.length); depth++) {
          const difference = (one[depth] ?? 0) - (two[depth] ?? 0);
          if (difference !== 0) return difference;
        }
        return one.length - two.length;
      });
      expect(paths).toEqual(sorted);
    }),
  );
});
