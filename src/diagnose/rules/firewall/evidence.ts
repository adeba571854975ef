import type { NetDelta, RuleDelta } from "../../../evidence/net/types.ts";
import { formatCount } from "../../../text/format.ts";
import { rankDrops, tellCounters, tellShares } from "../../amounts.ts";
import { tellRetransmissions } from "../../context.ts";
import type { DropFact, Facts } from "../../facts.ts";
import { findWays } from "./jumps.ts";
import { packetFamily } from "./netfilter-drop.ts";
import { isInvalidRule, isReject } from "./words.ts";

/**
 * `tcp 10.0.0.9 → 10.0.0.2:80 (990)`: the flows with the most packets. Only the port of the side that has fewer is told: the
 * other one is of the clients, and each connection has its own.
 */
export function tellFlows(drops: readonly DropFact[]): string | null {
  const count = (pick: (drop: DropFact) => number | null) => new Set(drops.map(pick)).size;
  const isReply = count((drop) => drop.sourcePort) < count((drop) => drop.destinationPort);
  const shares = rankDrops(drops, (drop) => {
    const { proto, source, destination, sourcePort, destinationPort } = drop;
    if (source === null || destination === null) return proto;
    return `${proto ?? "ip"} ${tellEnd(source, isReply ? sourcePort : null)} → ${tellEnd(destination, isReply ? null : destinationPort)}`;
  });
  const told = tellShares(shares);
  return told === null ? null : `packets: ${told}`;
}

function tellEnd(address: string, port: number | null): string {
  if (port === null) return address;
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** What the loss does to those who send, by where it happens and how it is told to them. */
export function tellEffects(
  facts: Facts,
  network: NetDelta,
  drops: readonly DropFact[],
  rule: RuleDelta | null,
): string[] {
  const hooks = new Set(drops.map(({ hook }) => hook));
  const isLocal = hooks.has("OUTPUT") || (hooks.has("POSTROUTING") && drops.some(({ dev }) => dev === null));
  const effects: (string | null)[] = [];
  if (isLocal) {
    effects.push('the sending programs get EPERM ("Operation not permitted"); TCP sends again instead');
  }
  if (rule !== null && isReject(rule)) effects.push(tellReject(network, rule.text, drops));
  if (rule !== null && isInvalidRule(rule.text)) effects.push(tellInvalid(network));
  effects.push(tellRetransmissions(facts, drops));
  return effects.filter((effect) => effect !== null);
}

function tellReject(network: NetDelta, text: string, drops: readonly DropFact[]): string {
  const [, iptables, nft] =
    /--reject-with (\S+)|\breject with ((?:tcp reset)|(?:icmp\S*(?: type)? \S+))/.exec(text) ?? [];
  const answer = iptables ?? nft;
  // A reset by netfilter is in no counter of TCP (nf_send_reset).
  const isReset = answer !== undefined && /rst|reset/.test(answer);
  const families = new Set(drops.map(packetFamily));
  const counters = [
    ...(families.has("ip") ? ["IcmpOutDestUnreachs"] : []),
    ...(families.has("ip6") ? ["Icmp6OutDestUnreachs"] : []),
  ];
  const moved = isReset ? null : tellCounters(network, counters);
  return `it answers the sender${answer === undefined ? "" : ` with ${answer}`}${moved === null ? "" : `: ${moved}`}`;
}

function tellInvalid(network: NetDelta): string {
  const invalid = network.conntrack?.stats["invalid"]?.delta ?? 0;
  const meaning =
    "INVALID is what connection tracking cannot place: segments outside of the window or after the end, replies that took another way";
  return invalid > 0 ? `${meaning}; its counter "invalid" moved by ${formatCount(invalid)}` : meaning;
}

/** Rules that send packets to this one's chain, directly or over other chains, with what they counted. */
export function tellJumps(network: NetDelta, rule: RuleDelta): string | null {
  const jumps = findWays(network, rule);
  const moved = jumps.filter(({ packets }) => (packets.delta ?? 0) > 0);
  const shown = (moved.length > 0 ? moved : jumps).slice(0, 3);
  if (shown.length === 0) return null;
  const told = shown.map(({ tool, text, chain, number, handle, packets }) => {
    const place = tool === "nft" ? `${chain} handle ${handle ?? "?"}` : `${chain} #${number ?? "?"}`;
    const count = (packets.delta ?? 0) > 0 ? `, +${formatCount(packets.delta ?? 0)}` : "";
    return `${text} (${place}${count})`;
  });
  return `packets get to chain ${rule.chain} by ${told.join("; ")}`;
}
