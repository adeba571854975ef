import { formatCount } from "../../../text/format.ts";
import type { DropFact, Place } from "../../facts.ts";
import { NOTHING_TO_DO, WAS_REMOVED } from "../../gone.ts";
import { listAll, listChain } from "./commands.ts";
import { chainKey } from "./jumps.ts";
import type { PolicySuspect, RuleSuspect } from "./suspect.ts";
import { subjectOf, tellPolicy, tellRule } from "./words.ts";

type Gone = RuleSuspect | PolicySuspect;

const OF_GONE_NETNS = "of a namespace that is gone by now";

export const GONE = `${NOTHING_TO_DO}: nft monitor shows when`;

/** "An iptables rule that was taken away during the run dropped incoming UDP packets to port 53". */
export function tellGoneSummary(gone: Gone, drops: readonly DropFact[], isProven: boolean): string {
  const adverb = isProven ? "" : "probably ";
  const when = gone.network.isGone ? OF_GONE_NETNS : `that ${WAS_REMOVED}`;
  if (gone.kind === "rule")
    return tellRule(gone, drops, { subject: `${subjectOf(gone.rule)} ${when}`, adverb, isPast: true });
  return tellPolicy(gone, drops, `(${tellPolicyChange(gone)}) ${adverb}dropped`);
}

function tellPolicyChange({ network, chain }: PolicySuspect): string {
  if (network.isGone) return OF_GONE_NETNS;
  return chain.presence === "removed"
    ? `the chain ${WAS_REMOVED}`
    : `drop at first, set to ${chain.policy ?? "accept"} during the run`;
}

/** What is known of it, and what went with it. */
export function tellGone(gone: Gone): string {
  const packets = gone.kind === "rule" ? gone.rule.packets : gone.chain.packets;
  const start = packets.before ?? packets.after;
  const counted = start === null ? "it was there" : `it had counted ${formatCount(start)}`;
  return `${counted} when the run began; what it counted since is lost, and nothing that is there now accounts for these drops`;
}

/** What is left of its chain; of one that is gone too, all there is. */
export function listRemains(netns: Place | null, gone: Gone): string {
  const place = gone.kind === "rule" ? gone.rule : gone.chain;
  const isThere = gone.network.chains.some(
    (chain) => chain.presence !== "removed" && chainKey(chain) === chainKey(place),
  );
  return isThere ? listChain(netns, gone.network, place) : listAll(netns, gone.network, place);
}
