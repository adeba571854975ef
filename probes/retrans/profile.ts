import type { Profile, Sample } from "../../src/profile/model.ts";
import { formatEnd } from "../../src/reduce/address.ts";
import { apportion, type StackBook } from "../../src/reduce/stacks.ts";
import type { ResetRow, RetransmitRow } from "./rows.ts";
import type { Totals } from "./totals.ts";

type Row = Pick<RetransmitRow, "netns" | "destination" | "destinationPort" | "source" | "sourcePort">;

/** The end that several connections share: the port below the other is the service's. */
export function flowGroup(row: Row): string {
  const isServer =
    row.sourcePort !== null && row.destinationPort !== null && row.sourcePort < row.destinationPort;
  const where = row.netns === null ? "" : ` in ${row.netns.name ?? `netns ${row.netns.inode}`}`;
  return isServer
    ? `from ${formatEnd(row.source, row.sourcePort)}${where}`
    : `to ${formatEnd(row.destination, row.destinationPort)}${where}`;
}

/** Keys of the stack book, from special to general. */
export function retransmitKeys(group: string, kind: string): string[] {
  return [`retransmit ${kind} ${group}`, `retransmit ${kind}`];
}

export function resetKeys(group: string, cause: string): string[] {
  return [`reset ${cause} ${group}`, `reset ${cause}`];
}

export function resetCause(row: Pick<ResetRow, "direction" | "reason">): string {
  return row.reason === null ? `reset ${row.direction}` : `reset ${row.direction} ${row.reason}`;
}

/** Segments sent again, and resets: flow group → kind → kernel stack. Weights add up to the totals. */
export function buildProfiles(
  retransmits: readonly RetransmitRow[],
  resets: readonly ResetRow[],
  book: StackBook,
  totals: Pick<Totals, "unattributed" | "unattributedResets">,
): Profile[] {
  const profiles: Profile[] = [];
  if (retransmits.length > 0 || totals.unattributed > 0) {
    const samples = weigh(
      retransmits,
      (row) => row.segments,
      (row) => row.kind,
      retransmitKeys,
      book,
    );
    samples.push(...unplaced(totals.unattributed));
    profiles.push({ name: "segments sent again", unit: "none", order: "none", samples });
  }
  if (resets.length > 0 || totals.unattributedResets > 0) {
    const samples = weigh(resets, (row) => row.count, resetCause, resetKeys, book);
    samples.push(...unplaced(totals.unattributedResets));
    profiles.push({ name: "resets", unit: "none", order: "none", samples });
  }
  return profiles;
}

/** What found no place in the kernel's table of flows. */
function unplaced(weight: number): Sample[] {
  return weight === 0 ? [] : [{ stack: [{ name: "connections beyond the table", file: "flow" }], weight }];
}

function weigh<R extends Row>(
  rows: readonly R[],
  count: (row: R) => number,
  cause: (row: R) => string,
  keys: (group: string, cause: string) => string[],
  book: StackBook,
): Sample[] {
  const groups = Map.groupBy(rows, (row) => JSON.stringify([flowGroup(row), cause(row)]));
  const samples: Sample[] = [];
  for (const [key, members] of groups) {
    const [group = "", kind = ""] = JSON.parse(key) as string[];
    const total = members.reduce((sum, row) => sum + count(row), 0);
    const roots = [
      { name: group, file: "flow" },
      { name: kind, file: "kind" },
    ];
    const stacks = book.find(keys(group, kind));
    if (stacks.length === 0) {
      samples.push({ stack: roots, weight: total });
      continue;
    }
    const weights = apportion(
      total,
      stacks.map((stack) => stack.samples),
    );
    for (const [index, { frames }] of stacks.entries())
      samples.push({
        stack: [...roots, ...frames.map((name) => ({ name, file: "[kernel]" }))],
        weight: weights[index] ?? 0,
      });
  }
  return samples.filter((sample) => sample.weight > 0);
}
