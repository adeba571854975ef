import type { Change } from "../../../../evidence/change.ts";
import type { InterfaceDelta, Link, NetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount } from "../../../../text/format.ts";
import { countDrops, isMany } from "../../../amounts.ts";
import { classifyDriverLoss, findRing, mendDriverLoss, tellRing } from "../../../driver-loss.ts";
import { inNetns } from "../../../commands.ts";
import type { DropFact, Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Ledger, Rule } from "../../../rule.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findLink, lacksCarrier } from "../support/devices.ts";
import { isFreedAt } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** Cards count odd frames now and then; from here on something goes wrong. */
const MANY = 10;
/** Of all packets: one in ten thousand hurts long TCP transfers. */
const HARMFUL_SHARE = 1e-4;

/** Frees that a device counts as RX dropped (net/core/dev.c, drivers' own paths). */
const RX_REASONS = new Set([
  "UNHANDLED_PROTO",
  "PTYPE_ABSENT",
  "CPU_BACKLOG",
  "DEV_READY",
  "PFMEMALLOC",
  "FULL_RING",
  "NOMEM",
]);
const RX_SITES =
  /^(?:__netif_receive_skb\w*|enqueue_to_backlog|netif_rx\w*|napi_\w+|gro_cells_receive|br_\w+|macvlan_\w+|vlan_\w+|_*dev_forward_skb2?|veth_\w+|tun_\w+|vxlan_\w+)$/;
const TX_SITES =
  /^(?:__dev_queue_xmit|__dev_xmit_skb|dev_hard_start_xmit|tun_\w+|veth_\w+|_*dev_forward_skb2?|macvlan_\w+|ipvlan_\w+|vlan_\w+|vxlan_\w+|br_\w+|validate_xmit\w*|bond_\w+|team_\w+|wg_\w+|\w+tunnel_xmit|ip6?_tnl_\w+|gre_\w+|ipgre_\w+)$/;

/** Where several kinds moved: the one that most of the others follow from. */
const CAUSES = ["ring", "memory", "port", "allowance"] as const;
const WHY = {
  ring: "its receive ring was full",
  memory: "its driver found no memory for them",
  port: "the card could not hand them on, or its port's buffer ran over",
  allowance: "more than the cloud allows this machine",
} as const;

type Direction = "rx" | "tx";

/**
 * What a device dropped without telling: its own counters, less the events that explain them. A card whose ring is full has no packet
 * to free, so this is the only sign (`rx_missed`, `rx_fifo`, what the driver counts). Errors on the wire have no event either.
 */
export const interfaceDrops: Rule = {
  id: "link-drops",
  examine(facts, ledger) {
    if (facts.isFiltered) return [];
    return facts.networks.flatMap((network) =>
      network.interfaces.flatMap((item) => [
        ...tellDropped(facts, ledger, network, item, "rx"),
        ...tellDropped(facts, ledger, network, item, "tx"),
        ...tellErrors(facts, ledger, network, item),
      ]),
    );
  },
};

function tellDropped(
  facts: Facts,
  ledger: Ledger,
  network: NetDelta,
  item: InterfaceDelta,
  direction: Direction,
): Finding[] {
  const netns = network.netns.inode;
  const counter = `link.${direction}_dropped:${item.name}`;
  const change = direction === "rx" ? item.rxDropped : item.txDropped;
  const counted = change.delta ?? 0;
  if (counted === 0 || ledger.isAccounted(netns, counter)) return [];
  const explained = countDrops(facts.drops.filter((drop) => explains(drop, network, item.name, direction)));
  const count = counted - explained;
  ledger.account(netns, counter);
  if (count <= 0) return [];
  const link = findLink(network, item.name);
  const details = movedDetails(item, direction);
  const kinds = new Set(details.map(({ name: key }) => classifyDriverLoss(key)));
  const isRing = direction === "rx" && kinds.has("ring");
  const [cause] = direction === "rx" ? CAUSES.filter((kind) => kinds.has(kind)) : [];
  const ring = findRing(network, item.name);
  const ok = (direction === "rx" ? item.rxOk : item.txOk).delta ?? 0;
  const isHarmful = isMany(count, facts.seconds, MANY) && count >= HARMFUL_SHARE * (ok + counted);
  const place = findPlace(facts, netns);
  const name = direction.toUpperCase();
  const idle = link !== null && lacksCarrier(link);
  return [
    makeFinding(facts, {
      id: isRing ? "link-ring-overflow" : "link-drops",
      severity: cause !== undefined && isHarmful ? "problem" : isHarmful ? "suspicious" : "info",
      summary: isRing
        ? `${item.name} lost ${formatCount(count)} packets before the system saw them: its receive ring was full`
        : cause !== undefined
          ? `${item.name} lost ${formatCount(count)} packets before the system saw them: ${WHY[cause]}`
          : `${item.name} counts ${formatCount(count)} dropped packets (${name}) that no drop event explains`,
      count,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}`,
        `${name} dropped +${formatCount(counted)} beside ${formatCount(ok)} good packets${explained > 0 ? `, ${formatCount(explained)} of them seen as events` : ""}`,
        details.length === 0
          ? null
          : details.map(({ name: key, delta }) => `${key} +${formatCount(delta)}`).join(", "),
        idle ? `${item.name} has no carrier` : null,
        isRing ? tellRing(ring) : null,
        cause !== undefined || direction === "tx"
          ? null
          : "a device counts here also what it was not meant to take (other VLANs, switched off bridge ports)",
      ],
      check: [
        inNetns(place, `ip -s -s link show dev ${quoteShell(item.name)}`),
        link?.physical === true ? inNetns(place, `ethtool -S ${quoteShell(item.name)}`) : null,
        isRing ? inNetns(place, `ethtool -g ${quoteShell(item.name)}`) : null,
      ],
      fix: cause === undefined ? [] : mendDriverLoss(cause, item.name, place, ring),
    }),
  ];
}

/** Whether the device counted this drop: freed on it, or handed over to it by the other end of a pair (that counts there). */
function explains(drop: DropFact, network: NetDelta, dev: string, direction: Direction): boolean {
  const netns = network.netns.inode;
  const link = findLink(network, dev);
  if (drop.netns === netns && drop.dev === dev) {
    return direction === "rx"
      ? (drop.reason !== null && RX_REASONS.has(drop.reason)) || isFreedAt(drop, RX_SITES)
      : isFreedAt(drop, TX_SITES) || drop.location === null;
  }
  if (direction === "rx" && link?.kind === "bridge")
    return drop.netns === netns && isFreedAt(drop, /^br_\w+$/);
  // The other end may be in any namespace: what could not be handed over there is counted here as received and dropped.
  return direction === "rx" && link?.kind === "veth" && isFreedAt(drop, /^(?:_*dev_forward_skb2?|veth_\w+)$/);
}

interface Detail {
  readonly name: string;
  readonly delta: number;
}

function movedDetails(item: InterfaceDelta, direction: Direction): Detail[] {
  const pick = (table: { readonly [name: string]: Change }, isOurs: (name: string) => boolean) =>
    Object.entries(table).flatMap(([name, { delta }]) =>
      delta !== null && delta > 0 && isOurs(name) ? [{ name, delta }] : [],
    );
  const own = pick(
    item.details,
    (name) => name.startsWith(`${direction}.`) && !/nohandler|otherhost|multicast/.test(name),
  );
  const other = direction === "rx" ? /^tx|_tx_|^tx_/i : /^rx|_rx_|^rx_/i;
  const driver = pick(item.driver, (name) => !other.test(name) && !/xdp/i.test(name));
  return [...own, ...driver].toSorted((a, b) => b.delta - a.delta).slice(0, 6);
}

/** Damaged frames: cable, transceiver, port, duplex. */
function tellErrors(facts: Facts, ledger: Ledger, network: NetDelta, item: InterfaceDelta): Finding[] {
  const netns = network.netns.inode;
  const rx = item.rxErrors.delta ?? 0;
  const tx = item.txErrors.delta ?? 0;
  const link: Link | null = findLink(network, item.name);
  if (rx + tx === 0 || ledger.isAccounted(netns, `link.errors:${item.name}`)) return [];
  ledger.account(netns, `link.errors:${item.name}`);
  const good = (item.rxOk.delta ?? 0) + (item.txOk.delta ?? 0);
  const details = [...movedDetails(item, "rx"), ...movedDetails(item, "tx")];
  const isCable = details.some(({ name }) => /crc|frame|align|symbol|carrier|collision/i.test(name));
  const isHarmful = isMany(rx + tx, facts.seconds, MANY) && rx + tx >= HARMFUL_SHARE * (good + rx + tx);
  const place = findPlace(facts, netns);
  return [
    makeFinding(facts, {
      id: "link-errors",
      severity: isHarmful ? (isCable ? "problem" : "suspicious") : "info",
      summary: `${item.name} counts errors: ${formatCount(rx)} received, ${formatCount(tx)} sent${isCable ? " (damaged on the wire)" : ""}`,
      count: rx + tx,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}`,
        details.length === 0
          ? null
          : details.map(({ name, delta }) => `${name} +${formatCount(delta)}`).join(", "),
        isCable ? "cable, transceiver or switch port, or one side with another duplex setting" : null,
        link?.kind == null
          ? null
          : `${item.name} is a ${link.kind} device: its own errors, not those of a wire`,
      ],
      check: [
        inNetns(place, `ip -s -s link show dev ${quoteShell(item.name)}`),
        link?.physical === true ? inNetns(place, `ethtool -S ${quoteShell(item.name)}`) : null,
      ],
      fix: isCable
        ? [`# change cable, transceiver or switch port of ${item.name}; both sides on autonegotiation`]
        : [],
    }),
  ];
}
