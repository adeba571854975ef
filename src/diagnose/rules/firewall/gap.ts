import type { Facts } from "../../facts.ts";
import type { Assignment } from "./assignment.ts";
import type { Group } from "./attribute.ts";
import { byCount, isSureMatch, MAX_JUDGED } from "./candidates.ts";
import { fit } from "./reach.ts";
import type { Suspect } from "./suspect.ts";
import { tellUnread } from "./unread.ts";

/**
 * Events are counted from the moment the program is attached, rules from when they are first read: the evidence is asked for
 * then, and listing the namespaces before that takes up to this long (0.1 s measured for a few namespaces).
 */
const START_GAP_SECONDS = 0.5;

/** By group: how many more of it belong to a counter than it counted. `isReset`: because it was set back in the run. */
export type Gap = ReadonlyMap<
  number,
  { readonly counter: number; readonly count: number; readonly isReset: boolean }
>;

/**
 * What is left over of drops that a moved counter fits and that cannot be told from what fell between the reading of the
 * events and of the counters. Also all of what a counter that was set back has not kept. Drops that another rule surely
 * matches are left to it.
 */
export function findGap(
  facts: Facts,
  {
    groups,
    proven,
    others,
    assignment,
  }: {
    readonly groups: readonly Group[];
    readonly proven: readonly Suspect[];
    readonly others: readonly Suspect[];
    readonly assignment: Assignment;
  },
): Gap {
  const found = new Map<number, { counter: number; count: number; isReset: boolean }>();
  const entries = groups.map((group, index) => ({ group, index, open: assignment.open(index) }));
  for (const [netns, members] of Map.groupBy(entries, ({ group }) => group.packets[0]?.drop.netns ?? null)) {
    const total = members.reduce((sum, { group }) => sum + group.count, 0);
    const open = members.reduce((sum, member) => sum + member.open, 0);
    const seconds = gapSeconds(facts, netns);
    const isGap = open <= Math.ceil((total * seconds) / (facts.seconds + seconds));
    for (const member of members) {
      const fitting = [...proven.keys()].filter((counter) => (member.group.fits[counter] ?? 3) <= 1);
      const isSetBack = (counter: number): boolean => {
        const suspect = proven[counter];
        if (suspect === undefined) return false;
        return suspect.isReset || (!isGap && wasSetBack(facts, suspect, member.group, others));
      };
      const wanted = fitting.filter((counter) => isGap || isSetBack(counter));
      const assigned = (counter: number): number => assignment.assigned(member.index, counter);
      const [best] = wanted.sort((a, b) => assigned(b) - assigned(a));
      if (best === undefined || member.open === 0 || hasSureMatch(member.group, others)) continue;
      found.set(member.index, { counter: best, count: member.open, isReset: isSetBack(best) });
    }
  }
  return found;
}

/**
 * A counter that was 0 at the start and was zeroed in the run (`iptables -Z`) shows nothing of it. But when nftables dropped packets that
 * the rule surely matches, and nothing else there can have, it is the one.
 */
function wasSetBack(facts: Facts, suspect: Suspect, group: Group, others: readonly Suspect[]): boolean {
  const packets = group.packets.toSorted(byCount).slice(0, MAX_JUDGED);
  return (
    packets.every((item) => item.isNft && isSureMatch(suspect, item)) &&
    !packets.some((item) => others.some((other) => (fit(other, item) ?? 3) <= 1)) &&
    tellUnread(facts, suspect.network.netns.inode) === null
  );
}

function gapSeconds(facts: Facts, netns: number | null): number {
  const network = facts.networks.find((item) => item.netns.inode === netns);
  const measured = network === undefined ? 0 : network.seconds - facts.seconds;
  return START_GAP_SECONDS + Math.min(5, Math.max(0, measured));
}

function hasSureMatch(group: Group, suspects: readonly Suspect[]): boolean {
  return group.packets
    .toSorted(byCount)
    .slice(0, MAX_JUDGED)
    .some((item) => suspects.some((suspect) => isSureMatch(suspect, item) && (fit(suspect, item) ?? 3) <= 1));
}
