import type { Cut, Visit } from "./prune.ts";
import { commonPrefix } from "./sort.ts";
import type { ProfileData } from "./store.ts";
import type { StackTree } from "./tree.ts";

/** Samples in time order, `window` of them at a time: within a window they are sorted and equal ones summed up. */
export interface TimeOrder {
  readonly window: number;
  /** Nodes a viewer makes when it lays the samples end to end; more than the budget may be less than all. */
  readonly nodes: number;
}

/**
 * Finds the finest windows whose nodes fit the budget. 1 keeps every sample where it was. A viewer that lays samples
 * end to end opens new nodes wherever a sample differs from the one before: many short-lived samples in random
 * order need far more nodes than the tree of their sums.
 */
export function fitTimeOrder(data: ProfileData, tree: StackTree, cut: Cut, budget: number): TimeOrder {
  const places = placeStacks(tree);
  for (let window = 1; ; window *= 2) {
    const nodes = countNodes(data, tree, cut, places, window, budget);
    if (nodes <= budget || window >= data.stacks.length) return { window, nodes };
  }
}

/** Nodes of the samples in their exact order, or some number above `enough`. */
export function countInTime(data: ProfileData, tree: StackTree, cut: Cut, enough: number): number {
  return countNodes(data, tree, cut, placeStacks(tree), 1, enough);
}

/** Calls `visit` for the samples in order, with `cut` applied. */
export function visitInTime(
  data: ProfileData,
  tree: StackTree,
  cut: Cut,
  window: number,
  visit: Visit,
): void {
  const places = placeStacks(tree);
  walkWindows(data, tree, cut, places, window, (stack, length, folded, weight) => {
    visit(stack, length, folded, weight);
    return true;
  });
}

function countNodes(
  data: ProfileData,
  tree: StackTree,
  cut: Cut,
  places: Int32Array,
  window: number,
  enough: number,
): number {
  let nodes = 0;
  let previous = -1;
  let previousLength = 0;
  let previousFolded = false;
  walkWindows(data, tree, cut, places, window, (stack, length, folded) => {
    const shared =
      previous < 0 ? 0 : Math.min(commonPrefix(tree.table, previous, stack), length, previousLength);
    nodes += length - shared;
    if (folded && !(previousFolded && length === previousLength && shared === length)) nodes += 1;
    previous = stack;
    previousLength = length;
    previousFolded = folded;
    return nodes <= enough;
  });
  return nodes;
}

/** Until `visit` returns false. */
function walkWindows(
  data: ProfileData,
  tree: StackTree,
  cut: Cut,
  places: Int32Array,
  window: number,
  visit: (...sample: Parameters<Visit>) => boolean,
): void {
  const show = (entry: number, weight: number): boolean => {
    const stack = tree.list[entry] ?? 0;
    const length = cut.depths[entry] ?? 0;
    return visit(stack, length, length < tree.table.depth(stack), weight);
  };
  const { length } = data.stacks;
  if (window === 1) {
    for (let index = 0; index < length; index++) {
      if (!show(places[data.stacks.at(index)] ?? 0, data.weights.at(index))) return;
    }
    return;
  }
  const sums = new Map<number, number>();
  for (let start = 0; start < length; start += window) {
    sums.clear();
    const end = Math.min(length, start + window);
    for (let index = start; index < end; index++) {
      const entry = places[data.stacks.at(index)] ?? 0;
      sums.set(entry, (sums.get(entry) ?? 0) + data.weights.at(index));
    }
    // Places are depth first: neighbours share the longest prefixes.
    for (const entry of Int32Array.from(sums.keys()).toSorted())
      if (!show(entry, sums.get(entry) ?? 0)) return;
  }
}

/** Where each stack stands in the tree's list. */
function placeStacks(tree: StackTree): Int32Array {
  const places = new Int32Array(tree.table.count);
  for (const [entry, stack] of tree.list.entries()) places[stack] = entry;
  return places;
}
