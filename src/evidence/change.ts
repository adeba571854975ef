/** A counter before and after the run. Null where it was not read, or where the counted thing did not exist. */
export type Change = {
  readonly before: number | null;
  readonly after: number | null;
  /**
   * How much was counted in between; null when unknown. A counter that went back (device, rule or table made anew,
   * counters zeroed) has counted at least `after`: that is the delta then.
   */
  readonly delta: number | null;
};

/** `Change` of a counter that was read before, after, or both. */
export function changeOf(before: number | null | undefined, after: number | null | undefined): Change {
  const first = before ?? null;
  const last = after ?? null;
  if (first === null || last === null) return { before: first, after: last, delta: null };
  return { before: first, after: last, delta: last < first ? last : last - first };
}

/** `Change` of something that did not exist at the start, so all it counted was in the run. */
export function changeOfNew(after: number | null): Change {
  return { before: null, after, delta: after };
}

/** `Change` of a 32 bit counter that wraps (softnet_stat prints unsigned ints). */
export function changeOfWrapping(before: number | null, after: number | null): Change {
  if (before === null || after === null) return changeOf(before, after);
  return { before, after, delta: after < before ? after + 2 ** 32 - before : after - before };
}

/** Whether something is known to have been counted. */
export function hasMoved(change: Change): boolean {
  return change.delta !== null && change.delta > 0;
}
