import type { NetnsId, NetSnapshot } from "../types.ts";

/** Both ends of a run in one namespace. */
export type Ends = {
  readonly netns: NetnsId;
  /** Null where it was not taken: the namespace did not exist yet, or could not be read. */
  readonly before: NetSnapshot | null;
  readonly after: NetSnapshot;
  /** The namespace came into being during the run: everything counted from 0. */
  readonly created: boolean;
};

/** One piece of evidence at both ends. `fresh`: the start is known, if only as "there was nothing". */
export function endsOf<T>(
  ends: Ends,
  pick: (snapshot: NetSnapshot) => readonly T[] | null,
): { readonly before: readonly T[]; readonly after: readonly T[]; readonly fresh: boolean } {
  const before = ends.before === null ? null : pick(ends.before);
  return { before: before ?? [], after: pick(ends.after) ?? [], fresh: before !== null || ends.created };
}
