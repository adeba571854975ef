import { countDrops } from "../../amounts.ts";
import type { DropFact, Facts } from "../../facts.ts";
import { createAssignment } from "./assignment.ts";
import { findCandidates, type Unexplained } from "./candidates.ts";
import { findGap, type Gap } from "./gap.ts";
import { groupPackets, type Packets } from "./packets.ts";
import { fit, FITS, type Fit } from "./reach.ts";
import { listSuspects } from "./suspects.ts";
import type { Suspect } from "./suspect.ts";

/** Drops that a counter proves. */
export interface Explained {
  readonly suspect: Suspect;
  /** Packets of `drops` that it counted: others may have dropped the rest of the same flows. */
  readonly count: number;
  /** More of them that it did not count but must have dropped: between the reading of the events and of the counter. */
  readonly beside: number;
  /** It has dropped more than its counter shows: that was set back in the run. */
  readonly isReset: boolean;
  readonly drops: readonly DropFact[];
}

export interface Attribution {
  readonly explained: readonly Explained[];
  readonly unexplained: readonly Unexplained[];
}

/** Packets that the same counters fit equally well. */
export interface Group {
  readonly packets: readonly Packets[];
  readonly count: number;
  /** How each counter fits, by its index. */
  readonly fits: readonly (Fit | null)[];
}

/** Says which rule, policy or table dropped which of `drops`, by what their counters moved. */
export function attribute(facts: Facts, drops: readonly DropFact[]): Attribution {
  const suspects = facts.networks.flatMap(listSuspects);
  const proven = suspects.filter(({ isExact, counted }) => isExact && (counted ?? 0) > 0);
  const others = suspects.filter((suspect) => !proven.includes(suspect) && canHaveDropped(suspect));
  const groups = groupByFits(groupPackets(drops), proven);
  const assignment = createAssignment(
    groups.map(({ count }) => count),
    proven.map(({ counted }) => counted ?? 0),
  );
  for (const level of FITS) {
    for (const [index, { fits }] of groups.entries())
      for (const [counter, value] of fits.entries()) if (value === level) assignment.allow(index, counter);
    assignment.solve();
  }
  const gap = findGap(facts, { groups, proven, others, assignment });
  const assigned = (group: number, counter: number): number => assignment.assigned(group, counter);
  const besides = (group: number, counter: number): number => beyond(gap, group, counter);
  const explained = proven.map((suspect, counter): Explained => {
    const isReset =
      suspect.isReset ||
      groups.some((_, group) => gap.get(group)?.counter === counter && gap.get(group)?.isReset === true);
    const own = groups.filter((_, group) => assigned(group, counter) + besides(group, counter) > 0);
    // What a counter that was set back has not kept is its own.
    const beside = groups.reduce((sum, _, group) => sum + besides(group, counter), 0);
    const count = groups.reduce((sum, _, group) => sum + assigned(group, counter), 0);
    return {
      suspect,
      count: isReset ? count + beside : count,
      beside: isReset ? 0 : beside,
      isReset,
      drops: own.flatMap(({ packets }) => packets.flatMap((item) => item.drops)),
    };
  });
  const open = groups.map(({ packets }, group) => ({
    packets,
    count: gap.has(group) ? 0 : assignment.open(group),
  }));
  return {
    explained: explained.filter(({ count }) => count > 0),
    unexplained: findCandidates(
      open.filter(({ count }) => count > 0),
      others,
    ),
  };
}

function beyond(gap: Gap, group: number, counter: number): number {
  const share = gap.get(group);
  return share?.counter === counter ? share.count : 0;
}

/** One that counts and did not move has dropped nothing, but for one that was removed or counts from anew. */
function canHaveDropped({ counted, isExact, isReset }: Suspect): boolean {
  return counted === null || isReset || (!isExact && counted > 0);
}

function groupByFits(packets: readonly Packets[], suspects: readonly Suspect[]): Group[] {
  const rated = packets.map((item) => ({ item, fits: suspects.map((suspect) => fit(suspect, item)) }));
  const groups = Map.groupBy(
    rated,
    ({ item, fits }) => `${item.drop.netns}/${item.drop.hook}/${fits.map((value) => value ?? "-").join("")}`,
  );
  return [...groups.values()].map((members) => ({
    packets: members.map(({ item }) => item),
    count: countDrops(members.flatMap(({ item }) => item.drops)),
    fits: members[0]?.fits ?? [],
  }));
}
