import { FloatList, IntList } from "./lists.ts";
import { sortStacks } from "./sort.ts";
import type { ProfileData, ProfileStore } from "./store.ts";
import type { StackTable } from "./stack-table.ts";

/**
 * The call tree of one profile without its nodes: the different stacks in depth-first order, and how much each has
 * in common with the one before. A tree of five million nodes fits in a few numbers per stack.
 */
export interface StackTree {
  readonly table: StackTable;
  /** Stack numbers, depth first. */
  readonly list: Int32Array;
  /** Summed weight of each entry of `list`. */
  readonly weights: Float64Array;
  /** Frames in common with the entry before. */
  readonly prefixes: Int32Array;
  /** Nodes of the tree, the root not counted. */
  readonly nodes: number;
}

export function buildTree(store: ProfileStore, data: ProfileData): StackTree {
  const table = store.stacks;
  const sums = sumByStack(table.count, data);
  const list = sums.list;
  const prefixes = sortStacks(table, list);
  const weights = new Float64Array(list.length);
  let nodes = 0;
  let count = 0;
  for (let index = 0; index < list.length; index++) {
    const stack = list[index] ?? 0;
    const depth = table.depth(stack);
    const prefix = prefixes[index] ?? 0;
    const weight = sums.weights[stack] ?? 0;
    // Equal stacks stand side by side.
    if (count > 0 && prefix === depth && table.depth(list[count - 1] ?? 0) === depth) {
      weights[count - 1] = (weights[count - 1] ?? 0) + weight;
      continue;
    }
    list[count] = stack;
    prefixes[count] = prefix;
    weights[count] = weight;
    nodes += depth - prefix;
    count += 1;
  }
  return {
    table,
    list: list.subarray(0, count),
    weights: weights.subarray(0, count),
    prefixes: prefixes.subarray(0, count),
    nodes,
  };
}

function sumByStack(count: number, data: ProfileData): { list: Int32Array; weights: Float64Array } {
  const weights = new Float64Array(count);
  const seen = new Uint8Array(count);
  const list = new IntList(Math.min(count, data.stacks.length) + 1);
  for (let index = 0; index < data.stacks.length; index++) {
    const stack = data.stacks.at(index);
    weights[stack] = (weights[stack] ?? 0) + data.weights.at(index);
    if (seen[stack] === 1) continue;
    seen[stack] = 1;
    list.push(stack);
  }
  return { list: list.data.slice(0, list.length), weights };
}

/**
 * The tree's chains: runs of nodes without a branch, all of one weight. There are at most two per stack. Chain `i`
 * belongs to entries `first[i]` … `last[i]` of the tree's list, at depths above `from[i]` up to `to[i]`.
 * Children stand before their parents.
 */
export interface Chains {
  readonly count: number;
  readonly first: Int32Array;
  readonly last: Int32Array;
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly weight: Float64Array;
}

export function listChains(tree: StackTree): Chains {
  const first = new IntList(tree.list.length * 2);
  const last = new IntList(tree.list.length * 2);
  const from = new IntList(tree.list.length * 2);
  const to = new IntList(tree.list.length * 2);
  const weight = new FloatList(tree.list.length * 2);
  // The chains that are open at the current entry: where they end, their weight so far, their first entry.
  const depths: number[] = [0];
  const sums: number[] = [0];
  const firsts: number[] = [0];

  const closeDownTo = (depth: number, entry: number): void => {
    while ((depths.at(-1) ?? 0) > depth) {
      const end = depths.pop() ?? 0;
      const sum = sums.pop() ?? 0;
      const start = firsts.pop() ?? 0;
      const above = depths.at(-1) ?? 0;
      first.push(start);
      last.push(entry - 1);
      from.push(Math.max(above, depth));
      to.push(end);
      weight.push(sum);
      if (above < depth) {
        // A branch in the middle of a chain: its upper part goes on.
        depths.push(depth);
        sums.push(sum);
        firsts.push(start);
      } else {
        sums[sums.length - 1] = (sums.at(-1) ?? 0) + sum;
      }
    }
  };
  for (let entry = 0; entry < tree.list.length; entry++) {
    const stack = tree.list[entry] ?? 0;
    closeDownTo(tree.prefixes[entry] ?? 0, entry);
    const depth = tree.table.depth(stack);
    const own = tree.weights[entry] ?? 0;
    if (depth > (depths.at(-1) ?? 0)) {
      depths.push(depth);
      sums.push(own);
      firsts.push(entry);
    } else {
      sums[sums.length - 1] = (sums.at(-1) ?? 0) + own;
    }
  }
  closeDownTo(0, tree.list.length);
  return {
    count: weight.length,
    first: first.data,
    last: last.data,
    from: from.data,
    to: to.data,
    weight: weight.data,
  };
}
