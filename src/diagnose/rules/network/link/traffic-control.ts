import type { FilterDelta, NetDelta, TrafficFilter } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount } from "../../../../text/format.ts";
import { countDrops } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { isDeviceGone, isUp, linksOf } from "../support/devices.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { NOTHING_TO_DO, WAS_REMOVED } from "../../../gone.ts";
import { accountSender } from "../support/sender.ts";

type Direction = "ingress" | "egress";

const SITES = {
  ingress: /^(?:sch_handle_ingress|tcf_classify_ingress)$/,
  egress: /^sch_handle_egress$/,
} as const;
const REASONS = { ingress: "TC_INGRESS", egress: "TC_EGRESS" } as const;
/** Actions that can end a packet's way, where a filter's counters do not tell. */
const DROPPING = /drop|shot/i;
const DROPPING_KINDS = new Set(["police", "mirred", "gact", "bpf", "ct"]);

interface Suspect {
  readonly filter: TrafficFilter;
  /** Its action's own count of drops during the run; null where it counts none (eBPF and cBPF direct actions). */
  readonly counted: number | null;
  readonly action: string | null;
}

/** TC_INGRESS and TC_EGRESS: a tc filter or its action drops. Names the filter by its counters, or because no other can. */
export const trafficControl: Rule = {
  id: "tc-filter",
  examine(facts, ledger) {
    return (["ingress", "egress"] as const).flatMap((direction) => {
      const drops = openDrops(facts, ledger).filter(
        (drop) => drop.reason === REASONS[direction] || (isVague(drop) && isFreedAt(drop, SITES[direction])),
      );
      ledger.claim(drops);
      return groupByDevice(drops).map(({ netns, dev, drops: group }) => {
        if (netns !== null && direction === "egress") accountSender(ledger, netns);
        return tell(facts, findNetwork(facts, netns), netns, dev, direction, group);
      });
    });
  },
};

function tell(
  facts: Facts,
  network: NetDelta | null,
  netns: number | null,
  dev: string | null,
  direction: Direction,
  drops: readonly DropFact[],
): Finding {
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const suspects = findSuspects(network, dev, direction);
  const removed =
    network?.gone.filters.filter(
      (filter) => filter.direction === direction && (dev === null || filter.dev === dev),
    ) ?? [];
  const isGone = isDeviceGone(network, dev);
  const isRemoved = suspects.length === 0 && removed.length > 0;
  const proven = suspects.filter(({ counted }) => (counted ?? 0) > 0);
  const named = proven.length > 0 ? proven : suspects;
  const [first] = named;
  const isSure = proven.length > 0 || suspects.length === 1;
  const device = first?.filter.dev ?? dev;
  const edge = network?.qdiscs.find(
    ({ qdisc }) => qdisc.dev === device && (qdisc.kind === "clsact" || qdisc.kind === "ingress"),
  );
  const down =
    first?.action === "mirred"
      ? linksOf(network)
          .filter((link) => !isUp(link))
          .map(({ name }) => name)
      : [];
  return makeFinding(facts, {
    id: first?.action === "police" ? "tc-police" : "tc-filter",
    severity: isSure ? "problem" : "suspicious",
    summary:
      first === undefined
        ? `A ${isRemoved ? `tc filter that ${WAS_REMOVED} dropped` : "traffic control program drops"} ${direction === "ingress" ? "incoming" : "outgoing"} packets${dev === null ? "" : ` on ${dev}`}: ${formatCount(count)}`
        : `${isSure ? "A" : "Probably a"} tc filter on ${first.filter.dev} (${direction}, pref ${first.filter.pref ?? "?"}, ${first.filter.kind}) ${tellDeed(first.action)}: ${formatCount(count)}`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      ...named.slice(0, 4).map((suspect) => tellSuspect(suspect)),
      proven.length === 0 && suspects.length > 1
        ? `${formatCount(suspects.length)} filters there can drop and none counts: their statistics would tell`
        : null,
      suspects.length === 0 ? tellRemoved(removed) : null,
      isGone ? `${dev} itself is gone` : null,
      down.length === 0
        ? null
        : `it sends packets to another device; ${down.join(", ")} ${down.length === 1 ? "is" : "are"} down`,
      edge === undefined || (edge.drops.delta ?? 0) === 0
        ? null
        : `${edge.qdisc.kind} of ${edge.qdisc.dev} counts ${formatCount(edge.drops.delta ?? 0)} drops`,
      tellFlows(drops),
    ],
    check: [
      isGone ? inNetns(place, "ip -br link") : null,
      device === null || isGone
        ? null
        : inNetns(place, `tc -s filter show dev ${quoteShell(device)} ${direction}`),
      suspects.length === 0 && !isGone
        ? inNetns(place, `bpftool net show${device === null ? "" : ` dev ${quoteShell(device)}`}`)
        : null,
    ],
    fix: isRemoved
      ? [NOTHING_TO_DO]
      : isSure
        ? named.map(({ filter }) => inNetns(place, deleteFilter(filter, direction)))
        : [],
  });
}

function tellRemoved(removed: readonly TrafficFilter[]): string {
  if (removed.length === 0)
    return "no filter of tc is there: a program attached with tcx or netkit, or a filter that came and went during the run";
  const told = removed.slice(0, 4).map(tellFilter);
  return `no filter of tc is there by now; at the start: ${told.join("; ")}`;
}

/** Filters at that place that can drop, those first that counted most. */
function findSuspects(network: NetDelta | null, dev: string | null, direction: Direction): Suspect[] {
  const filters = (network?.state.configuration?.filters ?? []).filter(
    (filter) => filter.direction === direction && (dev === null || filter.dev === dev),
  );
  return filters
    .flatMap((filter): Suspect[] => {
      const moved = network?.filters.filter((delta) => isOf(delta, filter)) ?? [];
      const dropping = moved.filter(canDrop);
      const counted = dropping.reduce((sum, delta) => sum + dropsOf(delta), 0);
      if (dropping.length > 0) return [{ filter, counted, action: dropping[0]?.action ?? null }];
      if (filter.bpf !== null) return [{ filter, counted: null, action: null }];
      const able = filter.actions.find(
        ({ kind, control, chance }) =>
          DROPPING_KINDS.has(kind) &&
          (DROPPING.test(control ?? "") ||
            DROPPING.test(chance?.control ?? "") ||
            kind === "mirred" ||
            kind === "police"),
      );
      return able === undefined || moved.length > 0 ? [] : [{ filter, counted: null, action: able.kind }];
    })
    .toSorted((a, b) => (b.counted ?? 0) - (a.counted ?? 0));
}

function isOf(delta: FilterDelta, filter: TrafficFilter): boolean {
  return (
    delta.dev === filter.dev &&
    delta.direction === filter.direction &&
    delta.pref === filter.pref &&
    delta.handle === filter.handle
  );
}

function canDrop({ action, control }: FilterDelta): boolean {
  return action === "police" || action === "mirred" || DROPPING.test(control ?? "");
}

/** gact counts its drops as such; of a redirection that fails only the packets that met it are known. */
function dropsOf({ action, packets, drops }: FilterDelta): number {
  const counted = drops.delta ?? 0;
  return counted > 0 || action !== "mirred" ? counted : (packets.delta ?? 0);
}

function tellDeed(action: string | null): string {
  if (action === "police") return "drops what is above its rate";
  if (action === "mirred") return "redirects packets to where they cannot go";
  return "drops packets";
}

/** `pref 7 protocol ip handle 0x1 bpf direct-action; program id 12 drop_all`. */
function tellFilter({ pref, protocol, handle, kind, text, bpf }: TrafficFilter): string {
  const words = [`pref ${pref ?? "?"} protocol ${protocol ?? "all"} handle ${handle ?? "?"} ${kind}`, text];
  const program = [bpf?.id == null ? "" : `id ${bpf.id}`, bpf?.name ?? ""].filter((word) => word !== "");
  return `${words.filter((word) => word !== "").join(" ")}${program.length === 0 ? "" : `; program ${program.join(" ")}`}`;
}

function tellSuspect({ filter, counted, action }: Suspect): string {
  const count =
    counted === null
      ? "it has no counter of its own"
      : `its action ${action ?? ""} counted +${formatCount(counted)}`;
  return `filter ${tellFilter(filter)}; ${count}`;
}

/** In full: a preference alone would delete its neighbours too. */
function deleteFilter(filter: TrafficFilter, direction: Direction): string {
  const words = [
    `tc filter del dev ${quoteShell(filter.dev)} ${direction}`,
    filter.protocol === null ? null : `protocol ${quoteShell(filter.protocol)}`,
    filter.pref === null ? null : `pref ${filter.pref}`,
    filter.chain === null || filter.chain === 0 ? null : `chain ${filter.chain}`,
    filter.handle === null ? null : `handle ${quoteShell(filter.handle)}`,
    quoteShell(filter.kind),
  ];
  return words.filter((word) => word !== null).join(" ");
}
