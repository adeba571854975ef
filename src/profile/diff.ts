import { addProfile, addSample, createStore, type ProfileData, type ProfileStore } from "./store/store.ts";
import type { Frame } from "./model.ts";
import { buildTree, type StackTree } from "./store/tree.ts";
import type { Shares } from "./flame/tree.ts";

/** One function in a comparison. All numbers are parts of the whole profile, 0–1. */
export interface FrameChange {
  readonly frame: Frame;
  /** On top of the stack. */
  readonly selfBefore: number;
  readonly selfAfter: number;
  /** Anywhere on the stack. */
  readonly totalBefore: number;
  readonly totalAfter: number;
}

/** Two profiles on one common tree, each scaled to a total of 1. */
export interface Comparison {
  readonly store: ProfileStore;
  readonly before: ProfileData;
  readonly after: ProfileData;
  /** All stacks of both; its weights are the means of the shares. */
  readonly tree: StackTree;
  readonly shares: Shares;
}

export interface Side {
  readonly store: ProfileStore;
  readonly data: ProfileData;
  readonly name: string;
}

/**
 * Puts two profiles on common stacks. Line numbers are left out, because they move with every change of a program; files
 * too if one side has none (folded stacks and `perf script` differ in what they know).
 */
export function compareProfiles(one: Side, two: Side): Comparison {
  const store = createStore(`${one.name} → ${two.name}`);
  const withFiles = [one, two].every((side) => side.store.frames.list.some(({ file }) => file !== undefined));
  const before = copyProfile(store, one, withFiles);
  const after = copyProfile(store, two, withFiles);
  const both = addProfile(store, "both");
  const count = store.stacks.count;
  const shares = { before: new Float64Array(count), after: new Float64Array(count) };
  for (const [data, target] of [
    [before, shares.before],
    [after, shares.after],
  ] as const) {
    for (let index = 0; index < data.stacks.length; index++) {
      const stack = data.stacks.at(index);
      if (data.total > 0) target[stack] = (target[stack] ?? 0) + data.weights.at(index) / data.total;
    }
  }
  for (let stack = 0; stack < count; stack++) {
    addSample(both, stack, ((shares.before[stack] ?? 0) + (shares.after[stack] ?? 0)) / 2);
  }
  const tree = buildTree(store, both);
  store.profiles.pop();
  return {
    store,
    before,
    after,
    tree,
    shares: {
      before: Float64Array.from(tree.list, (stack) => shares.before[stack] ?? 0),
      after: Float64Array.from(tree.list, (stack) => shares.after[stack] ?? 0),
    },
  };
}

/** What every function takes before and after, those with the largest change of their own first. */
export function listChanges({ store, tree, shares }: Comparison): FrameChange[] {
  const count = store.frames.list.length;
  const make = (): Float64Array => new Float64Array(count);
  const sums = { selfBefore: make(), selfAfter: make(), totalBefore: make(), totalAfter: make() };
  // The last entry in which a frame was counted: recursion must not count twice.
  const counted = new Int32Array(count).fill(-1);
  for (const [entry, stack] of tree.list.entries()) {
    const start = tree.table.start(stack);
    const depth = tree.table.depth(stack);
    const before = shares.before[entry] ?? 0;
    const after = shares.after[entry] ?? 0;
    for (let place = start; place < start + depth; place++) {
      const frame = tree.table.ids.at(place);
      if (counted[frame] === entry) continue;
      counted[frame] = entry;
      add(sums.totalBefore, frame, before);
      add(sums.totalAfter, frame, after);
    }
    if (depth === 0) continue;
    add(sums.selfBefore, tree.table.ids.at(start + depth - 1), before);
    add(sums.selfAfter, tree.table.ids.at(start + depth - 1), after);
  }
  const changes = store.frames.list.map((frame, index) => ({
    frame,
    selfBefore: sums.selfBefore[index] ?? 0,
    selfAfter: sums.selfAfter[index] ?? 0,
    totalBefore: sums.totalBefore[index] ?? 0,
    totalAfter: sums.totalAfter[index] ?? 0,
  }));
  return changes.toSorted((one, two) => changeOf(two) - changeOf(one));
}

function add(target: Float64Array, frame: number, share: number): void {
  target[frame] = (target[frame] ?? 0) + share;
}

function changeOf(change: FrameChange): number {
  return Math.abs(change.selfAfter - change.selfBefore);
}

function copyProfile(store: ProfileStore, side: Side, withFiles: boolean): ProfileData {
  const numbers = side.store.frames.list.map((frame) =>
    store.frames.internText(frame.name, withFiles ? frame.file : undefined),
  );
  const data = addProfile(store, side.name, side.data.unit, side.data.order);
  let path = new Int32Array(256);
  for (let index = 0; index < side.data.stacks.length; index++) {
    const stack = side.data.stacks.at(index);
    const start = side.store.stacks.start(stack);
    const depth = side.store.stacks.depth(stack);
    if (depth > path.length) path = new Int32Array(depth * 2);
    for (let place = 0; place < depth; place++) {
      path[place] = numbers[side.store.stacks.ids.at(start + place)] ?? 0;
    }
    addSample(data, store.stacks.intern(path, depth), side.data.weights.at(index));
  }
  return data;
}
