import type { FirewallPlace, RuleDelta } from "../../../evidence/net/types.ts";
import { formatCount } from "../../../text/format.ts";
import type { DropFact, Facts } from "../../facts.ts";
import type { Finding, FindingRule } from "../../finding.ts";
import { findPlace, nameNetns } from "../../where.ts";
import type { Explained } from "./attribute.ts";
import { acceptDropped } from "./accept.ts";
import { deleteElements, deleteRule, listChain } from "./commands.ts";
import { tellCount } from "./count.ts";
import { tellEffects, tellFlows, tellJumps } from "./evidence.ts";
import { tellKeeper } from "./keepers.ts";
import { tellNoise } from "./noise.ts";
import type { PolicySuspect, RuleSuspect } from "./suspect.ts";
import { tellPolicy, tellRule } from "./words.ts";

/** What a finding is made from: one cause among all that were explained in its namespace, and the drops seen there. */
export interface Context {
  readonly facts: Facts;
  readonly own: Explained;
  readonly all: readonly Explained[];
  readonly seen: readonly DropFact[];
}

/**
 * A rule whose own counter proves that it dropped. A problem, but for noise: whether a drop is meant cannot be read from the rule,
 * and who asks why packets are missing wants to see it.
 */
export function ruleFinding(suspect: RuleSuspect, { facts, own, all, seen }: Context): Finding {
  const { network, rule, elements } = suspect;
  const place = findPlace(facts, network.netns.inode);
  const others = all.flatMap(({ suspect: other }) =>
    other.kind === "rule" && other.network === network ? other.rule : [],
  );
  const noise = tellNoise(facts, network, suspect, own.drops);
  const evidence = [
    tellCount(own, { all, seen, isFiltered: facts.isFiltered }),
    tellFlows(own.drops),
    tellJumps(network, rule),
    rule.counterName === null ? null : `it counts with the named counter ${rule.counterName}`,
    elements.length === 0
      ? null
      : `elements: ${elements.map(({ key, packets }) => `${key} +${formatCount(packets.delta ?? 0)}`).join(", ")}`,
    own.isReset ? null : tellPresence(rule),
    ...tellEffects(facts, network, own.drops, rule),
    noise,
    tellKeeper(rule, own.drops),
  ];
  return {
    id: "netfilter-rule",
    severity: noise === null ? "problem" : "info",
    summary: tellRule(suspect, own.drops),
    count: own.count,
    netns: nameNetns(facts, network.netns.inode),
    evidence: evidence.filter((line) => line !== null),
    check: [listChain(place, network, rule)],
    fix: adviseOn(noise, deleteElements(place, elements) ?? deleteRule(place, network, rule, others)),
    rule: describeRule(rule, suspect.counted),
  };
}

/** What harms nobody is not to be let in by a command that was pasted unseen. */
function adviseOn(noise: string | null, commands: readonly string[]): readonly string[] {
  if (noise === null) return commands;
  return commands.map((line) => (line.startsWith("#") ? line : `# only if they are wanted: ${line}`));
}

function tellPresence({ presence }: RuleDelta): string | null {
  if (presence === "both") return null;
  return presence === "added"
    ? "the rule was added during the run"
    : "the rule was taken away during the run";
}

/** A chain's default policy. iptables counts what meets it; with nft it is what is left when nothing else can have dropped. */
export function policyFinding(suspect: PolicySuspect, { facts, own, all, seen }: Context): Finding {
  const { network, chain } = suspect;
  const place = findPlace(facts, network.netns.inode);
  const noise = tellNoise(facts, network, null, own.drops);
  const evidence = [
    suspect.counted === null
      ? "nft does not count what meets a policy: no rule that can have dropped these packets is left"
      : tellCount(own, { all, seen, isFiltered: facts.isFiltered }),
    tellFlows(own.drops),
    "no rule of the chain accepted them",
    ...tellEffects(facts, network, own.drops, null),
    noise,
  ];
  return {
    id: "netfilter-policy",
    severity: noise === null ? "problem" : "info",
    summary: tellPolicy(suspect, own.drops),
    count: own.count,
    netns: nameNetns(facts, network.netns.inode),
    evidence: evidence.filter((line) => line !== null),
    check: [listChain(place, network, chain)],
    fix: adviseOn(noise, acceptDropped(place, network, chain, own.drops)),
    rule: describePolicy(suspect),
  };
}

/** The `rule` of a finding. `packets`: by how much its counter moved, or that of the element that counts for it. */
export function describeRule(rule: RuleDelta, packets: number | null): FindingRule {
  const { tool, backend, table, chain, number, handle, text } = rule;
  const place = { tool, backend, ...familyOf(rule), table, chain };
  return { ...place, number: tool === "nft" ? null : number, handle, text, packets };
}

export function describePolicy({ chain, counted }: PolicySuspect): FindingRule {
  const { tool, backend, table } = chain;
  const text =
    tool === "nft"
      ? `hook ${chain.hook?.toLowerCase() ?? "?"} priority ${chain.priority ?? 0}; policy drop;`
      : `-P ${chain.chain} DROP`;
  const place = { tool, backend, ...familyOf(chain), table, chain: chain.chain };
  return { ...place, number: null, handle: null, text, packets: counted };
}

/** The name of an iptables says its family; tables of nft have the same names in several. */
function familyOf({ tool, family }: FirewallPlace): Pick<FindingRule, "family"> {
  return tool === "nft" ? { family } : {};
}
