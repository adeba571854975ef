import { countDrops } from "../../amounts.ts";
import type { DropFact, Facts } from "../../facts.ts";
import { createAssignment, type Assignment } from "./assignment.ts";
import { judge } from "./match/condition.ts";
import { fit, FITS, type Fit } from "./reach.ts";
import { listSuspects } from "./suspects.ts";
import type { Suspect } from "./suspect.ts";

/** Drops that a counter proves. */
export interface Explained {
  readonly suspect: Suspect;
  /** Packets of `drops` that it dropped: others may have dropped the rest of the same flows. */
  readonly count: number;
  readonly drops: readonly DropFact[];
}

/** Drops that no counter explains. */
export interface Unexplained {
  /** Inode; null when unknown. */
  readonly netns: number | null;
  readonly count: number;
  readonly drops: readonly DropFact[];
  /** What can have dropped them, as far as is known; those without a counter, and those that also count others. */
  readonly candidates: readonly Suspect[];
}

export interface Attribution {
  readonly explained: readonly Explained[];
  readonly unexplained: readonly Unexplained[];
}

/** Says which rule, policy or table dropped which of `drops`, by what their counters moved. */
export function attribute(facts: Facts, drops: readonly DropFact[]): Attribution {
  const suspects = facts.networks.flatMap(listSuspects);
  const proven = suspects.filter((suspect) => suspect.isExact && (suspect.counted ?? 0) > 0);
  const groups = groupDrops(drops, proven);
  const assignment = createAssignment(
    groups.map((group) => countDrops(group.drops)),
    proven.map((suspect) => suspect.counted ?? 0),
  );
  for (const level of FITS) {
    for (const [index, { fits }] of groups.entries())
      for (const [counter, value] of fits.entries()) if (value === level) assignment.allow(index, counter);
    assignment.solve();
  }
  const others = suspects.filter((suspect) => !proven.includes(suspect) && canHaveDropped(suspect));
  const beyond = forgive(facts, groups, { proven, others, assignment });
  const explained = proven.flatMap((suspect, counter): Explained[] => {
    const shares = groups.map(
      (_, index) => assignment.assigned(index, counter) + (beyond.get(index)?.get(counter) ?? 0),
    );
    const count = shares.reduce((sum, share) => sum + share, 0);
    return count === 0
      ? []
      : [
          {
            suspect,
            count,
            drops: groups.flatMap((group, index) => ((shares[index] ?? 0) > 0 ? group.drops : [])),
          },
        ];
  });
  const open = groups.flatMap((group, index) => {
    const forgiven = [...(beyond.get(index)?.values() ?? [])].reduce((sum, share) => sum + share, 0);
    const count = assignment.open(index) - forgiven;
    return count > 0 ? [{ drops: group.drops, count }] : [];
  });
  return { explained, unexplained: findCandidates(open, others) };
}

/** One that counts and did not move has dropped nothing; it may be a removed one, whose end is not known. */
function canHaveDropped({ counted, isExact }: Suspect): boolean {
  return counted === null || (!isExact && counted > 0);
}

/** Each drop is held against each candidate: a flood from many addresses is judged by its largest flows. */
const MAX_JUDGED = 256;

interface Group {
  readonly drops: readonly DropFact[];
  /** How each counter fits, by its index. */
  readonly fits: readonly (Fit | null)[];
}

/** Drops that the same counters fit equally well are one. */
function groupDrops(drops: readonly DropFact[], suspects: readonly Suspect[]): Group[] {
  const rated = drops.map((drop) => ({ drop, fits: suspects.map((suspect) => fit(suspect, drop)) }));
  const groups = Map.groupBy(
    rated,
    ({ drop, fits }) => `${drop.netns}/${drop.hook}/${fits.map((value) => value ?? "-").join("")}`,
  );
  return [...groups.values()].map((members) => ({
    drops: members.map(({ drop }) => drop),
    fits: members[0]?.fits ?? [],
  }));
}

/**
 * Events are counted from the moment the program is attached, rules from when they are first read: the evidence is asked for
 * then, and listing the namespaces before that takes up to this long (0.1 s measured for a few namespaces).
 */
const START_GAP_SECONDS = 0.5;

/**
 * What is left over of drops that a moved counter fits and that cannot be told from what fell between the reading of the
 * events and of the counters: by group, by counter. Also all of what a counter that was set back has not kept. Drops that
 * another rule surely matches are left to it.
 */
function forgive(
  facts: Facts,
  groups: readonly Group[],
  {
    proven,
    others,
    assignment,
  }: {
    readonly proven: readonly Suspect[];
    readonly others: readonly Suspect[];
    readonly assignment: Assignment;
  },
): Map<number, Map<number, number>> {
  const beyond = new Map<number, Map<number, number>>();
  const entries = groups.map((group, index) => ({ group, index, open: assignment.open(index) }));
  for (const [netns, members] of Map.groupBy(entries, ({ group }) => group.drops[0]?.netns ?? null)) {
    const total = members.reduce((sum, { group }) => sum + countDrops(group.drops), 0);
    const open = members.reduce((sum, member) => sum + member.open, 0);
    const gap = gapSeconds(facts, netns);
    const isGap = open <= Math.ceil((total * gap) / (facts.seconds + gap));
    for (const member of members) {
      if (member.open === 0 || hasSureMatch(member.group, others)) continue;
      const fitting = [...proven.keys()].filter((counter) => (member.group.fits[counter] ?? 3) <= 2);
      const wanted = fitting.filter((counter) => isGap || proven[counter]?.isReset === true);
      const assigned = (counter: number): number => assignment.assigned(member.index, counter);
      const [best] = wanted.sort((a, b) => assigned(b) - assigned(a));
      if (best !== undefined) beyond.set(member.index, new Map([[best, member.open]]));
    }
  }
  return beyond;
}

function hasSureMatch(group: Group, suspects: readonly Suspect[]): boolean {
  return group.drops
    .slice(0, MAX_JUDGED)
    .some((drop) => suspects.some((suspect) => isSureMatch(suspect, drop) && (fit(suspect, drop) ?? 3) <= 1));
}

function isSureMatch(suspect: Suspect, drop: DropFact): boolean {
  return suspect.kind === "rule" && judge(suspect.match, drop) === "yes";
}

function gapSeconds(facts: Facts, netns: number | null): number {
  const network = facts.networks.find((item) => item.netns.inode === netns);
  const measured = network === undefined ? 0 : network.seconds - facts.seconds;
  return START_GAP_SECONDS + Math.min(5, Math.max(0, measured));
}

function findCandidates(
  open: readonly { readonly drops: readonly DropFact[]; readonly count: number }[],
  suspects: readonly Suspect[],
): Unexplained[] {
  const found = open.flatMap(({ drops, count }) => {
    const judged = drops.toSorted((a, b) => b.count - a.count).slice(0, MAX_JUDGED);
    const rest = drops.slice(MAX_JUDGED);
    const total = countDrops(drops);
    const rated = judged.map((drop) => ({ drop, candidates: candidatesFor(drop, suspects) }));
    const sets = [
      ...Map.groupBy(rated, ({ candidates }) => candidates.map((item) => suspects.indexOf(item)).join()),
    ];
    let left = count;
    return sets.map(([key, members], index) => {
      const own = members.map(({ drop }) => drop);
      const all = index === 0 ? [...own, ...rest] : own;
      // The flows of a group share what was not explained by their size; the last set takes what rounding leaves.
      const share = index === sets.length - 1 ? left : Math.round((count * countDrops(all)) / total);
      left -= share;
      return {
        netns: own[0]?.netns ?? null,
        key,
        drops: all,
        count: share,
        candidates: members[0]?.candidates ?? [],
      };
    });
  });
  const merged = Map.groupBy(
    found,
    ({ netns, key, drops }) => `${netns}/${key}/${key === "" ? drops[0]?.hook : ""}`,
  );
  return [...merged.values()].flatMap((parts) => {
    const [first] = parts;
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    if (first === undefined || count <= 0) return [];
    const { netns, candidates } = first;
    return [{ netns, candidates, count, drops: parts.flatMap((part) => part.drops) }];
  });
}

/** What fits best; a rule whose conditions are surely met rules out those that may be, and the policy behind it. */
function candidatesFor(drop: DropFact, suspects: readonly Suspect[]): Suspect[] {
  const rated = suspects.map((suspect) => ({ suspect, value: fit(suspect, drop) ?? 3 }));
  const good = rated.filter(({ value }) => value <= 1);
  const fitting = (good.length > 0 ? good : rated.filter(({ value }) => value === 2)).map(
    ({ suspect }) => suspect,
  );
  const sure = fitting.filter((suspect) => isSureMatch(suspect, drop));
  return sure.length > 0 ? sure : fitting;
}
