import type { DropFact } from "../../facts.ts";
import { judge } from "./match/condition.ts";
import type { Packets } from "./packets.ts";
import { fit } from "./reach.ts";
import type { Suspect } from "./suspect.ts";
import { isBefore } from "./way.ts";

/** Drops that no counter explains. */
export interface Unexplained {
  /** Inode; null when unknown. */
  readonly netns: number | null;
  readonly count: number;
  readonly drops: readonly DropFact[];
  /** What can have dropped them, as far as is known; those without a counter, and those that also count others. */
  readonly candidates: readonly Suspect[];
}

/** Each kind of packets is held against each candidate (1 µs each): a flood is judged by its largest flows. */
export const MAX_JUDGED = 64;

/** More findings of a namespace than this are told as one: nobody reads them one by one. */
const MAX_SETS = 6;

export const byCount = (a: { readonly count: number }, b: { readonly count: number }): number =>
  b.count - a.count;

interface Part {
  readonly netns: number | null;
  readonly hook: DropFact["hook"];
  readonly key: string;
  readonly count: number;
  readonly drops: readonly DropFact[];
  readonly candidates: readonly Suspect[];
}

/** Parts what is open by what can have dropped it. `count`: packets of a group that are not explained, of all its flows together. */
export function findCandidates(
  open: readonly { readonly packets: readonly Packets[]; readonly count: number }[],
  suspects: readonly Suspect[],
): Unexplained[] {
  const shares = open.flatMap(({ packets, count }) => shareOut(packets, count)).sort(byCount);
  const parts = shares.slice(0, MAX_JUDGED).map(({ item, count }): Part => {
    const candidates = candidatesFor(item, suspects);
    const key = candidates.map((suspect) => suspects.indexOf(suspect)).join();
    return { ...placeOf(item), key, count, drops: item.drops, candidates };
  });
  // Flows that were too small to be judged go with the largest that were seen at the same place.
  for (const { item, count } of shares.slice(MAX_JUDGED)) {
    const place = placeOf(item);
    const like = parts.find(({ netns, hook }) => netns === place.netns && hook === place.hook);
    parts.push({
      ...place,
      key: like?.key ?? "",
      count,
      drops: item.drops,
      candidates: like?.candidates ?? [],
    });
  }
  return mergeParts(parts);
}

function placeOf({ drop }: Packets): Pick<Part, "netns" | "hook"> {
  return { netns: drop.netns, hook: drop.hook };
}

/** What is not explained of a group falls on its flows by their size; the last one takes what rounding leaves. */
function shareOut(
  packets: readonly Packets[],
  count: number,
): { readonly item: Packets; readonly count: number }[] {
  const total = packets.reduce((sum, item) => sum + item.count, 0);
  let left = count;
  const shares = packets.map((item, index) => {
    const part =
      index === packets.length - 1 ? left : Math.min(left, Math.round((count * item.count) / total));
    left -= part;
    return { item, count: part };
  });
  return shares.filter((share) => share.count > 0);
}

function mergeParts(parts: readonly Part[]): Unexplained[] {
  const sets = Map.groupBy(parts, ({ netns, hook, key }) => `${netns}/${key}/${key === "" ? hook : ""}`);
  const merged = [...sets.values()].flatMap(joinParts);
  return [...Map.groupBy(merged, ({ netns }) => netns).values()].flatMap((own) => {
    own.sort(byCount);
    if (own.length <= MAX_SETS) return own;
    return [...own.slice(0, MAX_SETS - 1), ...joinParts(own.slice(MAX_SETS - 1))];
  });
}

function joinParts(parts: readonly Unexplained[]): Unexplained[] {
  const [first] = parts;
  if (first === undefined) return [];
  return [
    {
      netns: first.netns,
      count: parts.reduce((sum, part) => sum + part.count, 0),
      drops: parts.flatMap(({ drops }) => drops),
      candidates: [...new Set(parts.flatMap(({ candidates }) => candidates))],
    },
  ];
}

/** What fits best; rules whose conditions are surely met rule out those that may be, policies, and what is asked after them. */
function candidatesFor(item: Packets, suspects: readonly Suspect[]): Suspect[] {
  const rated = suspects.map((suspect) => ({ suspect, value: fit(suspect, item) ?? 3 }));
  const good = rated.filter(({ value }) => value <= 1);
  const fitting = (good.length > 0 ? good : rated.filter(({ value }) => value === 2)).map(
    ({ suspect }) => suspect,
  );
  const sure = fitting.filter((suspect) => isSureMatch(suspect, item));
  if (sure.length === 0) return fitting;
  return sure.filter((suspect) => !sure.some((first) => comesAfter(suspect, first, item)));
}

/** Whether what `first` drops never gets to `suspect`. */
function comesAfter(suspect: Suspect, first: Suspect, item: Packets): boolean {
  if (suspect.kind !== "rule" || first.kind !== "rule" || suspect === first) return false;
  return suspect.way !== null && first.way !== null && isBefore(first.way, suspect.way, item);
}

export function isSureMatch(suspect: Suspect, packets: Packets): boolean {
  return suspect.kind === "rule" && judge(suspect.match, packets) === "yes";
}
