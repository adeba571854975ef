import type { FirewallFamily, Hook } from "../../../evidence/net/types.ts";
import type { DropFact } from "../../facts.ts";
import { judge } from "./match/condition.ts";
import { chainFamilies, isFromBridge, isNftSite, packetFamily, type PacketFamily } from "./netfilter-drop.ts";
import type { Suspect } from "./suspect.ts";

/**
 * How well a suspect fits a drop. 0: in all that is known. 1: where this kernel may free nftables' drops in the same place as all
 * others (before Linux 6.7). 2: but for the hook, which is derived from the packet and can be wrong for odd ones, or
 * the sampled stacks, which may be those of other packets. 3: but for what the rule's text asks of the packet, which
 * may have been misread.
 */
export type Fit = 0 | 1 | 2 | 3;
export const FITS: readonly Fit[] = [0, 1, 2, 3];

/** Null: it cannot have dropped it. */
export function fit(suspect: Suspect, drop: DropFact): Fit | null {
  if (drop.netns !== null && drop.netns !== suspect.network.netns.inode) return null;
  const place = suspect.kind === "rule" ? suspect.rule : suspect.kind === "policy" ? suspect.chain : null;
  if (place === null) return fitConntrack(suspect.kind === "conntrack-full", drop);
  if (place.backend === "legacy" && isNftSite(drop)) return null;
  if (!carries(place.family, place.hooks, drop)) return null;
  const devices = suspect.kind === "rule" || suspect.kind === "policy" ? suspect.devices : [];
  if (devices.length > 0 && drop.dev !== null && !devices.includes(drop.dev)) return null;
  if (suspect.kind === "rule" && judge(suspect.match, drop) === "no") return 3;
  const families = chainFamilies(drop);
  if (families !== null && !families.has(place.family)) return 2;
  if (!isAtHook(place.family, place.hooks, drop)) return 2;
  return place.backend === "nft" && !isNftSite(drop) ? 1 : 0;
}

/** nf_conntrack_in refuses at PREROUTING and OUTPUT, nf_confirm at INPUT and POSTROUTING (net/netfilter/nf_conntrack_proto.c). */
function fitConntrack(isFull: boolean, drop: DropFact): Fit | null {
  const family = packetFamily(drop);
  if (isNftSite(drop) || family === "arp" || family === "other") return null;
  const hooks = isFull ? ["PREROUTING", "OUTPUT"] : ["INPUT", "POSTROUTING"];
  return drop.hook === null || hooks.includes(drop.hook) || isFromBridge(drop) ? 0 : 2;
}

const CARRIED: Readonly<Record<"ip" | "ip6" | "inet" | "arp", readonly PacketFamily[]>> = {
  ip: ["ip"],
  ip6: ["ip6"],
  inet: ["ip", "ip6"],
  arp: ["arp"],
};

/** Whether chains of that family see such packets. */
function carries(family: FirewallFamily, hooks: readonly Hook[], drop: DropFact): boolean {
  const packet = packetFamily(drop);
  if (packet === null || family === "bridge" || family === "netdev") return true;
  if (family === "inet" && hooks.includes("INGRESS")) return true;
  return CARRIED[family].includes(packet);
}

/** Chains of a device and of a bridge are asked where the packet's own hook says nothing of them. */
function isAtHook(family: FirewallFamily, hooks: readonly Hook[], drop: DropFact): boolean {
  if (family === "bridge") return drop.functions.length === 0 || isFromBridge(drop);
  if (family === "arp") return true;
  if (hooks.includes("INGRESS") && (drop.hook === null || drop.hook === "PREROUTING")) return true;
  // On its way out a packet has a route; ARP has none on either way.
  if (hooks.includes("EGRESS") && (drop.hook !== "PREROUTING" || drop.proto === "arp")) return true;
  if (family === "netdev") return false;
  return drop.hook === null || hooks.includes(drop.hook) || isFromBridge(drop);
}
