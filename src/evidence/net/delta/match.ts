import type { Change } from "../../change.ts";
import { changeOf, changeOfNew, hasMoved } from "../../change.ts";

/** An item at the end and the same item at the start, or null where it was not there, or where the start is not known. */
export type Pair<T> = { readonly before: T | null; readonly after: T };

/**
 * Pairs what is there at the end with what was there at the start. Equal keys are paired in their order, so two
 * rules with the same text stay apart.
 */
export function pairByKey<T>(
  before: readonly T[],
  after: readonly T[],
  key: (item: T) => string,
): { readonly pairs: Pair<T>[]; readonly removed: T[] } {
  const left = new Map<string, T[]>();
  for (const item of before) {
    const list = left.get(key(item));
    if (list === undefined) left.set(key(item), [item]);
    else list.push(item);
  }
  // Taken from the end of the reversed lists: shift() of a long list is slow.
  for (const list of left.values()) list.reverse();
  const pairs = after.map((item) => ({ before: left.get(key(item))?.pop() ?? null, after: item }));
  return { pairs, removed: [...left.values()].flatMap((list) => list.toReversed()) };
}

/**
 * How a number of an item changed. `fresh`: the start is known, so an item that was not there then was made in the
 * run and its count starts from 0; otherwise the start is unknown.
 */
export function changeIn<T>(pair: Pair<T>, fresh: boolean, value: (item: T) => number | null): Change {
  const after = value(pair.after);
  if (pair.before !== null) return changeOf(value(pair.before), after);
  return fresh ? changeOfNew(after) : changeOf(null, after);
}

/** The numbers of two tables that moved. One that was not printed at the start was 0 (tools leave out zeros). */
export function movedIn(
  before: { readonly [name: string]: number } | null,
  after: { readonly [name: string]: number },
  fresh: boolean,
): { readonly [name: string]: Change } {
  if (before === null && !fresh) return {};
  const entries = Object.entries(after).map(([name, value]) => {
    const first = before === null ? null : Object.hasOwn(before, name) ? before[name] : 0;
    return [name, first === null ? changeOfNew(value) : changeOf(first, value)] as const;
  });
  return Object.fromEntries(entries.filter(([, change]) => hasMoved(change)));
}

/** Identity from several fields. */
export function keyOf(...parts: readonly (string | number | null)[]): string {
  return JSON.stringify(parts);
}
