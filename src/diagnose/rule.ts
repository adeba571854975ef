import type { Facts, DropFact } from "./facts.ts";
import type { Finding } from "./finding.ts";

/** What earlier rules have accounted for, so that no packet and no counter is blamed twice. */
export interface Ledger {
  /** These drops have their cause. */
  claim(drops: readonly DropFact[]): void;
  isClaimed(drop: DropFact): boolean;
  /** This counter's movement in this namespace has its cause (names as `nstat` prints them, or `softnet.dropped`, `link.rx_dropped:eth0`). */
  account(netns: number, counter: string): void;
  isAccounted(netns: number, counter: string): boolean;
}

/** One kind of cause: facts in, findings out. Pure. Its file states each threshold with the reason for its value. */
export interface Rule {
  /** `netfilter-rule`, `accept-queue` … : findings carry it as their `id`, or a more special one that starts with it. */
  readonly id: string;
  examine(facts: Facts, ledger: Ledger): readonly Finding[];
}

export function createLedger(): Ledger {
  const drops = new Set<DropFact>();
  const counters = new Set<string>();
  return {
    claim: (claimed) => {
      for (const drop of claimed) drops.add(drop);
    },
    isClaimed: (drop) => drops.has(drop),
    account: (netns, counter) => void counters.add(`${netns}\0${counter}`),
    isAccounted: (netns, counter) => counters.has(`${netns}\0${counter}`),
  };
}
