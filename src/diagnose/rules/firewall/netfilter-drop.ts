import type { FirewallFamily } from "../../../evidence/net/types.ts";
import type { DropFact } from "../../facts.ts";

/**
 * Functions that free what a netfilter hook said to drop. Linux 6.7 and later free an nftables verdict in nft_do_chain
 * (NF_DROP_REASON) and give NETFILTER_DROP; everything else, and everything before, is freed by who called the hooks.
 */
const SITES = /^(?:nft_(?:nat_)?do_chain|nf_hook|ipt_do_table|ip6t_do_table|arpt_do_table|ebt_do_table)/;

/** Packets that a rule gave to a program: net/netfilter/nf_queue.c, nfnetlink_queue.c. */
const QUEUE_SITES = /^(?:__nf_queue|nf_queue|nf_reinject|nfqnl_)/;

/** A drop that a firewall rule, a policy or connection tracking decided. */
export function isNetfilterDrop(drop: DropFact): boolean {
  if (isQueueDrop(drop)) return false;
  if (drop.reason === "NETFILTER_DROP") return true;
  return isVague(drop) && drop.location !== null && SITES.test(drop.location);
}

/** A drop on the way to or from a program that a rule asked (NFQUEUE). */
export function isQueueDrop(drop: DropFact): boolean {
  return (drop.reason === "NETFILTER_DROP" || isVague(drop)) && QUEUE_SITES.test(drop.location ?? "");
}

function isVague(drop: DropFact): boolean {
  return drop.reason === null || drop.reason === "NOT_SPECIFIED";
}

/** Whether it was freed inside nftables: then no legacy rule and no connection tracking can be the cause. */
export function isNftSite(drop: DropFact): boolean {
  return drop.location?.startsWith("nft_") ?? false;
}

export type PacketFamily = "ip" | "ip6" | "arp" | "other";

/** Null: cannot be told. */
export function packetFamily({ proto, source }: DropFact): PacketFamily | null {
  if (proto === "arp") return "arp";
  if (source !== null) return source.includes(":") ? "ip6" : "ip";
  return proto?.startsWith("eth-") === true || proto === "stp" || proto === "lldp" ? "other" : null;
}

/** What calls nft_do_chain for each family of chains (net/netfilter/nft_chain_filter.c, nft_chain_nat.c, nft_chain_route.c). */
const CHAIN_CALLERS: readonly (readonly [RegExp, readonly FirewallFamily[]])[] = [
  [/^nft_do_chain_ipv4/, ["ip"]],
  [/^nft_do_chain_ipv6/, ["ip6"]],
  [/^nft_do_chain_inet/, ["inet"]],
  [/^nft_do_chain_netdev/, ["netdev"]],
  [/^nft_do_chain_bridge/, ["bridge"]],
  [/^nft_do_chain_arp/, ["arp"]],
  [/^nft_nat_do_chain|^nf_route_table_hook/, ["ip", "ip6", "inet"]],
];

/** Families of the chains on the sampled stacks; null where no stack tells. */
export function chainFamilies(drop: DropFact): ReadonlySet<FirewallFamily> | null {
  if (!isNftSite(drop)) return null;
  const families = drop.functions.flatMap((name) =>
    CHAIN_CALLERS.flatMap(([pattern, list]) => (pattern.test(name) ? list : [])),
  );
  return families.length === 0 ? null : new Set(families);
}

/** Whether the IP rules were asked by a bridge (br_netfilter): its packets have no route yet, so their hook is not known. */
export function isFromBridge(drop: DropFact): boolean {
  return drop.functions.some((name) => /^_{0,2}br_/.test(name));
}
