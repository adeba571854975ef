import type { Frame } from "../model.ts";

/** Samples that share one stack. */
export interface WeighedStack {
  /** Root → leaf. Equal frames are the same object. */
  readonly frames: readonly Frame[];
  readonly count: number;
}

export interface TopFrame {
  readonly frame: Frame;
  /** Samples in which it was on top of the stack. */
  readonly self: number;
  /** Samples in which it was anywhere on the stack; once each, also where it calls itself. */
  readonly total: number;
}

/** All frames, most `self` first, then most `total`. */
export function countFrames(stacks: Iterable<WeighedStack>): TopFrame[] {
  const counts = new Map<Frame, { self: number; total: number; seen: number }>();
  let number = 0;
  for (const { frames, count } of stacks) {
    number += 1;
    for (const [depth, frame] of frames.entries()) {
      let entry = counts.get(frame);
      if (entry === undefined) counts.set(frame, (entry = { self: 0, total: 0, seen: 0 }));
      if (entry.seen !== number) entry.total += count;
      entry.seen = number;
      if (depth === frames.length - 1) entry.self += count;
    }
  }
  return [...counts]
    .map(([frame, { self, total }]) => ({ frame, self, total }))
    .sort((a, b) => b.self - a.self || b.total - a.total || compare(a.frame.name, b.frame.name));
}

export interface PathStep {
  readonly frame: Frame;
  /** Samples in which the path up to here was on the stack. */
  readonly count: number;
}

interface Node {
  count: number;
  readonly children: Map<Frame, Node>;
}

/** Below this part of all samples, or of the frame above, the path is no longer the one that matters. */
const LEAST_OF_ALL = 0.02;
const LEAST_OF_PARENT = 0.1;

/** From the root, always on to the callee with most samples. */
export function findHottestPath(stacks: Iterable<WeighedStack>): PathStep[] {
  const root: Node = { count: 0, children: new Map() };
  for (const { frames, count } of stacks) {
    root.count += count;
    let node = root;
    for (const frame of frames) {
      let child = node.children.get(frame);
      if (child === undefined) node.children.set(frame, (child = { count: 0, children: new Map() }));
      child.count += count;
      node = child;
    }
  }
  const path: PathStep[] = [];
  for (let node = root; ;) {
    let best: [Frame, Node] | null = null;
    for (const entry of node.children) if (best === null || entry[1].count > best[1].count) best = entry;
    if (best === null) return path;
    const [frame, next] = best;
    if (next.count < LEAST_OF_ALL * root.count || next.count < LEAST_OF_PARENT * node.count) return path;
    path.push({ frame, count: next.count });
    node = next;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
