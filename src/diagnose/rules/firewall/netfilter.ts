import type { DropFact, Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { attribute, type Explained } from "./attribute.ts";
import type { Unexplained } from "./candidates.ts";
import { candidateFinding, isCandidate } from "./candidate-finding.ts";
import { clashFinding, fullFinding, pressureFinding } from "./conntrack-finding.ts";
import { manyFinding, MAX_CAUSES } from "./many-finding.ts";
import { isNetfilterDrop, isNftSite, packetFamily } from "./netfilter-drop.ts";
import { policyFinding, ruleFinding } from "./rule-finding.ts";
import { unexplainedFinding } from "./unexplained-finding.ts";
import { isGone } from "./suspect.ts";
import { tellUnread } from "./unread.ts";

/**
 * Which firewall rule, policy or connection tracking limit dropped the packets that netfilter dropped. Each packet counts
 * once, so the counters of everything that drops add up to the drops of the namespace: they are shared out so
 * (assignment.ts), and what no counter takes is held against what does not count.
 */
export const netfilterRule: Rule = {
  id: "netfilter",
  examine(facts: Facts, ledger: Ledger): readonly Finding[] {
    const drops = facts.drops.filter(
      (drop) => !drop.benign && !ledger.isClaimed(drop) && isNetfilterDrop(drop),
    );
    const { explained, unexplained } = attribute(facts, drops);
    ledger.claim(drops);
    accountFor(facts, ledger, drops);
    const pressed = facts.networks.filter(
      (network) =>
        !explained.some(({ suspect }) => suspect.kind === "conntrack-full" && suspect.network === network),
    );
    return [
      ...explainedFindings(facts, explained, drops),
      ...unexplained.map((open) => openFinding(facts, open)),
      ...pressed.flatMap((network) => pressureFinding(facts, network) ?? []),
    ];
  },
};

function explainedFindings(
  facts: Facts,
  explained: readonly Explained[],
  drops: readonly DropFact[],
): Finding[] {
  return [...Map.groupBy(explained, ({ suspect }) => suspect.network).values()].flatMap((own) => {
    const sorted = own.toSorted((a, b) => b.count - a.count);
    // One too many is told as itself.
    const most = sorted.length === MAX_CAUSES + 1 ? sorted.length : MAX_CAUSES;
    const rest = sorted.slice(most);
    return [
      ...sorted.slice(0, most).map((item) => explainedFinding(facts, item, explained, drops)),
      ...(rest.length === 0 ? [] : [manyFinding(facts, rest)]),
    ];
  });
}

function explainedFinding(
  facts: Facts,
  own: Explained,
  explained: readonly Explained[],
  drops: readonly DropFact[],
): Finding {
  const { suspect } = own;
  const context = {
    facts,
    own,
    all: explained.filter((item) => item.suspect.network === suspect.network),
    // Where packets have no namespace (bpftrace without kernel types), they may be this one's.
    seen: drops.filter(({ netns }) => netns === null || netns === suspect.network.netns.inode),
  };
  switch (suspect.kind) {
    case "rule":
      return ruleFinding(suspect, context);
    case "policy":
      return policyFinding(suspect, context);
    case "conntrack-full":
      return fullFinding(suspect.network, context);
    case "conntrack-clash":
      return clashFinding(suspect.network, context);
  }
}

function openFinding(facts: Facts, open: Unexplained): Finding {
  const candidates = open.candidates.filter(isCandidate);
  const [only] = candidates;
  if (only === undefined) return unexplainedFinding(facts, open);
  // Where nothing else is left that nftables can have asked, it is proven: a policy, which nft cannot count, or a rule
  // whose counter moved. A rule without a counter has said nothing of itself: a trace has to confirm it.
  const isLast =
    candidates.length === 1 && open.drops.every(isNftSite) && tellUnread(facts, open.netns) === null;
  if (only.kind === "policy" && isLast && !isGone(only)) {
    const own = { suspect: only, count: open.count, beside: 0, isReset: false, drops: open.drops };
    return policyFinding(only, { facts, own, all: [own], seen: open.drops });
  }
  return candidateFinding(facts, open, candidates, isLast && (isGone(only) || (only.counted ?? 0) > 0));
}

/** Counters that move because of these drops: packets that a hook took on their way out, and what the sender was told. */
function accountFor(facts: Facts, ledger: Ledger, drops: readonly DropFact[]): void {
  for (const network of facts.networks) {
    const inode = network.netns.inode;
    const own = drops.filter(({ netns }) => netns === inode);
    for (const [counter, family] of OUT_COUNTERS) {
      const out = own.filter(
        (drop) => (drop.hook === null ? isEgress(drop) : OUT.has(drop.hook)) && packetFamily(drop) === family,
      );
      const count = out.reduce((sum, drop) => sum + drop.count, 0);
      const moved = network.counters.find(({ name }) => name === counter)?.delta ?? 0;
      if (moved > 0 && moved <= count) ledger.account(inode, counter);
    }
  }
}

/** A drop on a device's egress hook, which is none of IP's. */
function isEgress({ functions }: DropFact): boolean {
  return functions.includes("nft_do_chain_netdev") && functions.includes("__dev_queue_xmit");
}

const OUT: ReadonlySet<string> = new Set(["OUTPUT", "POSTROUTING"]);
const OUT_COUNTERS = [
  ["IpOutDiscards", "ip"],
  ["UdpSndbufErrors", "ip"],
  ["Ip6OutDiscards", "ip6"],
  ["Udp6SndbufErrors", "ip6"],
] as const;
