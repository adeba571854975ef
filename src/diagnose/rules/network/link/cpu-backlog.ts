import type { NetDelta, SoftnetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount } from "../../../../text/format.ts";
import { countDrops, rankDrops, roundUp, severityOf } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Ledger, Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, readNumbers } from "../../../where.ts";
import { findLink, otherEnd } from "../support/devices.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** The queue of a CPU overflows by a burst of a full ring at once; a few drops are such a burst. */
const MANY = 10;
/** One CPU with this share of all drops, while others idle, does the work of all. */
const LONELY = 0.8;
const SITES = /^(?:enqueue_to_backlog|netif_rx\w*|gro_cells_receive)$/;
/** The kernel's default (net/core/hotdata.c). */
const DEFAULT_BACKLOG = 1000;

/** A CPU's queue of received packets was full (`netdev_max_backlog`), or its flow limit hit. Host-wide counters, per CPU. */
export const cpuBacklog: Rule = {
  id: "cpu-backlog",
  examine(facts, ledger) {
    const host = facts.networks.find(({ softnet }) => softnet !== null) ?? null;
    const cpus = (host?.softnet ?? []).filter(
      (cpu) => (cpu.dropped.delta ?? 0) + (cpu.flowLimit.delta ?? 0) > 0,
    );
    const counted = cpus.reduce((sum, cpu) => sum + (cpu.dropped.delta ?? 0), 0);
    const limited = cpus.reduce((sum, cpu) => sum + (cpu.flowLimit.delta ?? 0), 0);
    const drops = openDrops(facts, ledger).filter(
      (drop) =>
        drop.reason === "CPU_BACKLOG" || (isVague(drop) && isFreedAt(drop, SITES) && counted + limited > 0),
    );
    if (drops.length === 0 && (counted + limited === 0 || facts.isFiltered)) return [];
    ledger.claim(drops);
    if (host !== null)
      for (const name of ["softnet.dropped", "softnet.flow_limit"]) ledger.account(host.netns.inode, name);
    for (const { netns, dev } of drops)
      if (netns !== null && dev !== null) accountDevice(facts, ledger, netns, dev);
    return [tell(facts, host, cpus, drops, { counted, limited })];
  },
};

/** A veth puts what it sends into the queue itself: what finds no room counts at both of its ends. */
function accountDevice(facts: Facts, ledger: Ledger, netns: number, dev: string): void {
  ledger.account(netns, `link.rx_dropped:${dev}`);
  const network = findNetwork(facts, netns);
  const peer = otherEnd(facts, network, findLink(network, dev));
  if (peer !== null) ledger.account(peer.netns.inode, `link.tx_dropped:${peer.link.name}`);
}

function tell(
  facts: Facts,
  host: NetDelta | null,
  cpus: readonly SoftnetDelta[],
  drops: readonly DropFact[],
  { counted, limited }: { readonly counted: number; readonly limited: number },
): Finding {
  const count = Math.max(countDrops(drops), counted);
  const [limit = null] = readNumbers(facts, host, "net.core.netdev_max_backlog");
  const most = cpus.toSorted((a, b) => (b.dropped.delta ?? 0) - (a.dropped.delta ?? 0))[0];
  const all = host?.softnet?.length ?? cpus.length;
  const isLonely =
    most !== undefined && all > 1 && (most.dropped.delta ?? 0) >= LONELY * counted && counted > 0;
  const isFlow = limited > 0 && limited >= counted;
  const [device] = rankDrops(drops, ({ dev }) => dev);
  const like = drops.find(({ dev }) => dev === device?.name);
  const place = like === undefined ? null : findPlace(facts, like.netns);
  const room = roundUp(
    Math.max(2 * (limit ?? DEFAULT_BACKLOG), 4096, Math.min((limit ?? DEFAULT_BACKLOG) + counted, 65_536)),
  );
  const spread = device === undefined || all < 2 ? null : spreadOver(device.name, all);
  return makeFinding(facts, {
    id: isFlow ? "cpu-flow-limit" : "cpu-backlog",
    severity: severityOf(count, facts.seconds, MANY),
    summary: isFlow
      ? `A single flow filled half of a CPU's receive queue and was cut back (flow limit): ${formatCount(count)} packets dropped`
      : `${isLonely ? `CPU ${most.cpu ?? 0} cannot` : "The CPUs cannot"} keep up with received packets: its queue was full ${formatCount(count)} times`.replace(
          "its queue",
          isLonely ? "its queue" : "their queues",
        ),
    count,
    netns: like?.netns ?? host?.netns.inode ?? null,
    evidence: [
      ...cpus
        .slice(0, 4)
        .map(
          (cpu) =>
            `CPU ${cpu.cpu ?? "?"}: dropped +${formatCount(cpu.dropped.delta ?? 0)} of ${formatCount(cpu.processed.delta ?? 0)} processed${(cpu.flowLimit.delta ?? 0) > 0 ? `, flow limit +${formatCount(cpu.flowLimit.delta ?? 0)}` : ""}`,
        ),
      limit === null
        ? null
        : `net.core.netdev_max_backlog is ${formatCount(limit)} packets at the end, for each of ${formatCount(all)} CPUs`,
      isLonely
        ? "one CPU does it all: the card has one queue, or virtual devices (veth, tun, lo) run on the CPU of the sender"
        : null,
      tellFlows(drops),
    ],
    check: [
      "cat /proc/net/softnet_stat",
      "grep -E 'NET_RX|CPU' /proc/softirqs",
      "sysctl net.core.netdev_max_backlog",
    ],
    fix: [
      ...(isFlow
        ? ["# one flow alone can have the queue: sysctl -w net.core.flow_limit_cpu_bitmap=0"]
        : [`sysctl -w net.core.netdev_max_backlog=${room}`]),
      ...(isLonely && spread !== null ? [inNetns(place, spread)] : []),
    ],
  });
}

/** Receive packet steering over all CPUs: a mask of hexadecimal digits, in groups of 32 CPUs. */
function spreadOver(dev: string, cpus: number): string {
  const groups: string[] = [];
  for (let left = cpus; left > 0; left -= 32) groups.unshift((2 ** Math.min(32, left) - 1).toString(16));
  return `sh -c ${quoteShell(`echo ${groups.join(",")} > /sys/class/net/${dev}/queues/rx-0/rps_cpus`)}`;
}
