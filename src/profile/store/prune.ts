import { listChains, type Chains, type StackTree } from "./tree.ts";

/**
 * Frames of one stack that a viewer can take: speedscope recurses once per frame and overflows the browser's
 * stack between 4,000 and 5,000. bpftrace gives at most 254.
 */
export const MAX_DEPTH = 3000;

/** How many frames of each entry of the tree's list are kept; the rest is folded into one frame. */
export interface Cut {
  readonly depths: Int32Array;
  /** Nodes that remain, the folded frames among them. */
  readonly nodes: number;
  /** Entries that lost frames, and the sum of their weights. */
  readonly stacks: number;
  readonly weight: number;
}

/**
 * Called for each sample of the pruned tree, depth first. `length` frames of stack `stack` are kept; `folded` says
 * that one more frame stands for what was below. Samples that become equal by the cut are summed up.
 */
export type Visit = (stack: number, length: number, folded: boolean, weight: number) => void;

/** Keeps the heaviest nodes, `budget` at most, so that every kept node's parent is kept; totals do not change. */
export function pruneTree(tree: StackTree, budget: number): Cut {
  const whole = cutNothing(tree);
  if (whole.nodes <= budget) return whole;
  const chains = listChains(tree);
  const steps = listSteps(chains);
  // The folded frames are nodes too, and how many there are is known only after the cut.
  let allowed = budget;
  for (let attempt = 0; attempt < 8; attempt++) {
    const cut = cutAt(tree, chains, steps, allowed);
    if (cut.nodes <= budget) return cut;
    allowed = Math.max(0, allowed - (cut.nodes - budget));
  }
  // At most one folded frame per kept node, and one at the root.
  return cutAt(tree, chains, steps, Math.max(0, Math.floor((budget - 1) / 2)));
}

/** Walks the tree with `cut` applied. */
export function visitTree(tree: StackTree, cut: Cut, visit: Visit): void {
  // Folded weight under the current node at each depth; −1 where nothing was folded.
  const folds = new Float64Array(maxDepth(cut) + 1).fill(-1);
  let previous = 0;
  let previousStack = 0;
  const leaveDownTo = (depth: number): void => {
    for (let level = previous; level >= depth; level--) {
      const weight = folds[level] ?? -1;
      if (weight >= 0) visit(previousStack, level, true, weight);
      folds[level] = -1;
    }
  };
  for (let entry = 0; entry < tree.list.length; entry++) {
    const stack = tree.list[entry] ?? 0;
    leaveDownTo((tree.prefixes[entry] ?? 0) + 1);
    const depth = cut.depths[entry] ?? 0;
    const weight = tree.weights[entry] ?? 0;
    if (depth === tree.table.depth(stack)) visit(stack, depth, false, weight);
    else folds[depth] = Math.max(0, folds[depth] ?? 0) + weight;
    previous = depth;
    previousStack = stack;
  }
  leaveDownTo(0);
}

/** Everything is kept but what no viewer can open. */
function cutNothing(tree: StackTree): Cut {
  return measureCut(tree, listDepths(tree));
}

function listDepths(tree: StackTree): Int32Array {
  const depths = new Int32Array(tree.list.length);
  for (let entry = 0; entry < depths.length; entry++) {
    depths[entry] = Math.min(MAX_DEPTH, tree.table.depth(tree.list[entry] ?? 0));
  }
  return depths;
}

function cutAt(tree: StackTree, chains: Chains, steps: Steps, allowed: number): Cut {
  const { threshold, quota } = findThreshold(steps, allowed);
  const depths = listDepths(tree);
  let left = quota;
  // From the end: parents before their children, so that a range is cut once.
  for (let chain = chains.count - 1; chain >= 0; chain--) {
    const weight = chains.weight[chain] ?? 0;
    if (weight > threshold) continue;
    const first = chains.first[chain] ?? 0;
    const from = chains.from[chain] ?? 0;
    const to = chains.to[chain] ?? 0;
    // An ancestor was cut already.
    if ((depths[first] ?? 0) <= from) continue;
    const kept = weight === threshold ? Math.min(left, to - from) : 0;
    left -= kept;
    if (kept < to - from) cutRange(depths, first, chains.last[chain] ?? 0, from + kept);
  }
  return measureCut(tree, depths);
}

function cutRange(depths: Int32Array, first: number, last: number, depth: number): void {
  for (let entry = first; entry <= last; entry++) depths[entry] = Math.min(depths[entry] ?? 0, depth);
}

function isCut(tree: StackTree, depths: Int32Array, entry: number): boolean {
  return (depths[entry] ?? 0) < tree.table.depth(tree.list[entry] ?? 0);
}

/** The different weights, ascending, and for each how many nodes are heavier. */
interface Steps {
  readonly weights: Float64Array;
  readonly above: Float64Array;
}

function listSteps(chains: Chains): Steps {
  const nodes = new Map<number, number>();
  for (let chain = 0; chain < chains.count; chain++) {
    const weight = chains.weight[chain] ?? 0;
    nodes.set(weight, (nodes.get(weight) ?? 0) + (chains.to[chain] ?? 0) - (chains.from[chain] ?? 0));
  }
  const weights = Float64Array.from(nodes.keys()).toSorted();
  const above = new Float64Array(weights.length);
  let sum = 0;
  for (let step = weights.length - 1; step >= 0; step--) {
    above[step] = sum;
    sum += nodes.get(weights[step] ?? 0) ?? 0;
  }
  return { weights, above };
}

/** The weight above which all chains fit into `allowed` nodes, and how many nodes of exactly that weight do too. */
function findThreshold({ weights, above }: Steps, allowed: number): { threshold: number; quota: number } {
  let step = 0;
  while (step < weights.length - 1 && (above[step] ?? 0) > allowed) step += 1;
  return { threshold: weights[step] ?? 0, quota: Math.max(0, allowed - (above[step] ?? 0)) };
}

function measureCut(tree: StackTree, depths: Int32Array): Cut {
  let nodes = 0;
  let stacks = 0;
  let weight = 0;
  for (let entry = 0; entry < depths.length; entry++) {
    nodes += Math.max(0, (depths[entry] ?? 0) - (tree.prefixes[entry] ?? 0));
    if (!isCut(tree, depths, entry)) continue;
    stacks += 1;
    weight += tree.weights[entry] ?? 0;
  }
  return { depths, nodes: nodes + countFolds(tree, depths), stacks, weight };
}

/** How many folded frames the cut makes: one for each place at which something was cut off. */
function countFolds(tree: StackTree, depths: Int32Array): number {
  // By depth: the path to the current node has a folded frame there already.
  const open = new Uint8Array(MAX_DEPTH + 2);
  let previous = 0;
  let folds = 0;
  for (let entry = 0; entry < depths.length; entry++) {
    for (let level = tree.prefixes[entry] ?? 0; level < previous; level++) open[level + 1] = 0;
    const depth = depths[entry] ?? 0;
    if (isCut(tree, depths, entry)) {
      if (open[depth] === 0) folds += 1;
      open[depth] = 1;
    }
    previous = depth;
  }
  return folds;
}

function maxDepth(cut: Cut): number {
  let most = 0;
  for (const depth of cut.depths) if (depth > most) most = depth;
  return most;
}
