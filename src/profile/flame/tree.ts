import { FOLDED_FRAME, type Frame } from "../model.ts";
import { pruneTree, visitTree } from "../store/prune.ts";
import type { ProfileStore } from "../store/store.ts";
import type { StackTree } from "../store/tree.ts";

/** One box of a flame graph. */
export interface FlameNode {
  readonly frame: Frame;
  /** Weight of this node with all below it; it is what the box is wide. */
  total: number;
  /** In a comparison: the share of the whole before and after, 0–1. */
  before: number;
  after: number;
  /** Heaviest first. */
  readonly children: FlameNode[];
}

/** Boxes a drawing may have: a browser takes about a second for so many elements. */
export const MAX_BOXES = 10_000;

/** Builds the boxes of a tree, the lightest folded together so that there are `MAX_BOXES` at most. */
export function buildFlame(
  store: ProfileStore,
  tree: StackTree,
  name: string,
  maxBoxes = MAX_BOXES,
): FlameNode {
  const cut = pruneTree(tree, maxBoxes);
  const root = createNode({ name });
  const paths = new PathWalker(store, tree, root);
  visitTree(tree, cut, (stack, length, folded, weight) => {
    for (const node of paths.walk(stack, length, folded)) node.total += weight;
  });
  sortChildren(root);
  return root;
}

/** The two sides of a comparison: weights for the entries of one common tree, as shares that add up to 1. */
export interface Shares {
  readonly before: Float64Array;
  readonly after: Float64Array;
}

/** The same for a comparison: boxes are as wide as the mean of both shares, so that what vanished is still seen. */
export function buildDiffFlame(
  store: ProfileStore,
  tree: StackTree,
  shares: Shares,
  name: string,
): FlameNode {
  const cut = pruneTree(tree, MAX_BOXES);
  const root = createNode({ name });
  const paths = new PathWalker(store, tree, root);
  visitTree({ ...tree, weights: shares.before }, cut, (stack, length, folded, weight) => {
    for (const node of paths.walk(stack, length, folded)) node.before += weight;
  });
  visitTree({ ...tree, weights: shares.after }, cut, (stack, length, folded, weight) => {
    for (const node of paths.walk(stack, length, folded)) node.after += weight;
  });
  setMeans(root);
  sortChildren(root);
  return root;
}

/** Finds or makes the nodes on a stack's way. */
class PathWalker {
  readonly #store: ProfileStore;
  readonly #tree: StackTree;
  readonly #root: FlameNode;
  readonly #children = new Map<FlameNode, Map<number, FlameNode>>();

  constructor(store: ProfileStore, tree: StackTree, root: FlameNode) {
    this.#store = store;
    this.#tree = tree;
    this.#root = root;
  }

  walk(stack: number, length: number, folded: boolean): FlameNode[] {
    const start = this.#tree.table.start(stack);
    const way = [this.#root];
    for (let depth = 0; depth < length; depth++) {
      way.push(this.#child(way.at(-1) ?? this.#root, this.#tree.table.ids.at(start + depth)));
    }
    if (folded) way.push(this.#child(way.at(-1) ?? this.#root, -1));
    return way;
  }

  #child(parent: FlameNode, frame: number): FlameNode {
    const children = this.#children.get(parent) ?? new Map<number, FlameNode>();
    this.#children.set(parent, children);
    const known = children.get(frame);
    if (known !== undefined) return known;
    const node = createNode(frame < 0 ? FOLDED_FRAME : this.#store.frames.at(frame));
    children.set(frame, node);
    parent.children.push(node);
    return node;
  }
}

function createNode(frame: Frame): FlameNode {
  return { frame, total: 0, before: 0, after: 0, children: [] };
}

function setMeans(root: FlameNode): void {
  for (const node of listNodes(root)) node.total = (node.before + node.after) / 2;
}

function sortChildren(root: FlameNode): void {
  for (const node of listNodes(root)) {
    node.children.sort((one, two) => two.total - one.total || (one.frame.name < two.frame.name ? -1 : 1));
  }
}

/** All nodes, in no useful order. */
function listNodes(root: FlameNode): FlameNode[] {
  const all = [root];
  for (let index = 0; index < all.length; index++) all.push(...(all[index]?.children ?? []));
  return all;
}
