import type { FirewallFamily, Hook } from "../../../evidence/net/types.ts";
import { judge } from "./match/condition.ts";
import type { PacketFamily } from "./netfilter-drop.ts";
import type { Packets } from "./packets.ts";
import type { Suspect } from "./suspect.ts";

/**
 * How well a suspect fits dropped packets. 0: in all that is known. 1: where this kernel may free nftables' drops in the same place as all
 * others (before Linux 6.7). 2: but for the hook, which is derived from the packet and can be wrong for odd ones, or
 * the sampled stacks, which may be those of other packets. 3: but for what the rule's text asks of the packet, which
 * may have been misread.
 */
export type Fit = 0 | 1 | 2 | 3;
export const FITS: readonly Fit[] = [0, 1, 2, 3];

/** Null: it cannot have dropped them. */
export function fit(suspect: Suspect, packets: Packets): Fit | null {
  const { drop, isNft, chains } = packets;
  if (drop.netns !== null && drop.netns !== suspect.network.netns.inode) return null;
  if (suspect.kind !== "rule" && suspect.kind !== "policy") {
    return fitConntrack(suspect.kind === "conntrack-full", packets);
  }
  const { family, hooks, backend } = suspect.kind === "rule" ? suspect.rule : suspect.chain;
  if (backend === "legacy" && isNft) return null;
  if (!carries(family, hooks, packets.family)) return null;
  if (suspect.devices.length > 0 && drop.dev !== null && !suspect.devices.includes(drop.dev)) return null;
  if (suspect.kind === "rule" && judge(suspect.match, packets) === "no") return 3;
  if (chains !== null && !chains.has(family)) return 2;
  if (!isAtHook(family, hooks, packets)) return 2;
  return backend === "nft" && !isNft ? 1 : 0;
}

/** nf_conntrack_in refuses at PREROUTING and OUTPUT, nf_confirm at INPUT and POSTROUTING (net/netfilter/nf_conntrack_proto.c). */
function fitConntrack(isFull: boolean, { drop, family, isNft, isBridged }: Packets): Fit | null {
  if (isNft || family === "arp" || family === "other") return null;
  const hooks = isFull ? ["PREROUTING", "OUTPUT"] : ["INPUT", "POSTROUTING"];
  return drop.hook === null || hooks.includes(drop.hook) || isBridged ? 0 : 2;
}

const CARRIED: Readonly<Record<"ip" | "ip6" | "inet" | "arp", readonly PacketFamily[]>> = {
  ip: ["ip"],
  ip6: ["ip6"],
  inet: ["ip", "ip6"],
  arp: ["arp"],
};

/** Whether chains of that family see such packets. */
function carries(family: FirewallFamily, hooks: readonly Hook[], packet: PacketFamily | null): boolean {
  if (packet === null || family === "bridge" || family === "netdev") return true;
  if (family === "inet" && hooks.includes("INGRESS")) return true;
  return CARRIED[family].includes(packet);
}

/** Chains of a device and of a bridge are asked where the packet's own hook says nothing of them. */
function isAtHook(family: FirewallFamily, hooks: readonly Hook[], { drop, isBridged }: Packets): boolean {
  if (family === "bridge") return drop.functions.length === 0 || isBridged;
  if (family === "arp") return true;
  if (hooks.includes("INGRESS") && (drop.hook === null || drop.hook === "PREROUTING")) return true;
  // On its way out a packet has a route; ARP has none on either way.
  if (hooks.includes("EGRESS") && (drop.hook !== "PREROUTING" || drop.proto === "arp")) return true;
  if (family === "netdev") return false;
  return drop.hook === null || hooks.includes(drop.hook) || isBridged;
}
