import type { Pruned } from "../model.ts";
import { pruneTree, visitTree, type Cut, type Visit } from "./prune.ts";
import type { ProfileData, ProfileStore } from "./store.ts";
import { countInTime, fitTimeOrder, visitInTime } from "./time-order.ts";
import { buildTree, type StackTree } from "./tree.ts";

/** About 6 s and 0.7 GB in a browser; at ten times as many the tab dies (measured with speedscope 1.25). */
export const DEFAULT_NODE_BUDGET = 1_000_000;

/** How one profile is written: its tree, what is cut, and the order. */
export interface ProfilePlan {
  readonly data: ProfileData;
  readonly tree: StackTree;
  readonly cut: Cut;
  /** Samples per time window; null for a profile without order. */
  readonly window: number | null;
}

export interface StorePlan {
  readonly profiles: readonly ProfilePlan[];
  readonly pruned: Pruned | null;
}

/** Decides what of `store` is drawn so that all profiles together stay within `budget` tree nodes (0: no limit). */
export function planStore(store: ProfileStore, budget: number = DEFAULT_NODE_BUDGET): StorePlan {
  const limit = budget > 0 ? budget : Infinity;
  const drafts = store.profiles.map((data) => {
    const tree = buildTree(store, data);
    const cut = pruneTree(tree, Infinity);
    // Beyond the limit the exact number no longer matters.
    const nodes = data.order === "time" ? countInTime(data, tree, cut, limit) : cut.nodes;
    return { data, tree, cut, nodes };
  });
  const shares = shareBudget(
    drafts.map(({ nodes }) => nodes),
    limit,
  );
  const profiles = drafts.map((draft, index) => planProfile(draft, shares[index] ?? limit));
  return { profiles, pruned: describePruned(profiles, limit) };
}

/** Walks the samples of a plan in the order in which they are to be written. */
export function visitPlan({ data, tree, cut, window }: ProfilePlan, visit: Visit): void {
  if (window === null) visitTree(tree, cut, visit);
  else visitInTime(data, tree, cut, window, visit);
}

interface Draft {
  readonly data: ProfileData;
  readonly tree: StackTree;
  readonly cut: Cut;
  readonly nodes: number;
}

function planProfile({ data, tree, cut, nodes }: Draft, share: number): ProfilePlan {
  if (data.order === "none") {
    return { data, tree, cut: nodes <= share ? cut : pruneTree(tree, share), window: null };
  }
  if (nodes <= share) return { data, tree, cut, window: 1 };
  // Half of the share for the tree of the sums leaves the other half to show when things happened.
  const smaller = cut.nodes <= share / 2 ? cut : pruneTree(tree, Math.floor(share / 2));
  return { data, tree, cut: smaller, window: fitTimeOrder(data, tree, smaller, share).window };
}

/** Small profiles get all they need, the large ones equal parts of the rest. */
export function shareBudget(needs: readonly number[], budget: number): number[] {
  const shares = needs.map(() => 0);
  let left = budget;
  const order = needs.map((_, index) => index).toSorted((a, b) => (needs[a] ?? 0) - (needs[b] ?? 0));
  for (const [done, index] of order.entries()) {
    const share = Math.min(needs[index] ?? 0, Math.floor(left / (order.length - done)));
    shares[index] = share;
    left -= share;
  }
  return shares;
}

function describePruned(plans: readonly ProfilePlan[], budget: number): Pruned | null {
  const cut = plans.filter((plan) => plan.cut.stacks > 0 || (plan.window ?? 1) > 1);
  if (cut.length === 0) return null;
  return {
    budget,
    stacks: cut.reduce((sum, plan) => sum + plan.cut.stacks, 0),
    profiles: cut.map(({ data, cut: { stacks, weight }, window }) => ({
      name: data.name,
      stacks,
      share: data.total > 0 ? weight / data.total : 0,
      window: window ?? null,
    })),
  };
}
