import type { DropFact, Facts } from "../../src/diagnose/facts.ts";
import type {
  ResetFlow,
  RetransFacts,
  RetransFlow,
  RetransKind,
} from "../../src/diagnose/rules/retrans/facts.ts";
import { listPlaces } from "../../src/reduce/places.ts";
import { tellDrop } from "../drops/drop-facts.ts";
import type { ReasonTable } from "../drops/reasons.ts";
import type { Flow } from "./flow.ts";
import { isWanted, nameFlow, nameReset, type Naming } from "./rows.ts";

/** The two ends of a connection in one order, so that both directions are the same. */
function pairId(a: string | null, aPort: number | null, b: string | null, bPort: number | null): string {
  const ends = [`${a} ${aPort}`, `${b} ${bPort}`];
  return ends.sort().join(" ");
}

export interface JoinInput extends Naming {
  readonly seconds: number;
  readonly drops: readonly DropFact[];
  readonly reasons: ReasonTable;
}

/** What the rules read: connections with everything that this host dropped of them. */
export function buildFacts(input: JoinInput): RetransFacts {
  const { counters, names, evidence } = input;
  const drops = Map.groupBy(input.drops, (drop) =>
    pairId(drop.source, drop.sourcePort, drop.destination, drop.destinationPort),
  );
  const flows = new Map<
    string,
    { flow: Flow; segments: number; packets: number; byKind: Partial<Record<RetransKind, number>> }
  >();
  const entryOf = (flow: Flow) => {
    let entry = flows.get(flow.id);
    if (entry === undefined) flows.set(flow.id, (entry = { flow, segments: 0, packets: 0, byKind: {} }));
    return entry;
  };
  for (const { flow, kind, segments, events } of counters.retransmits.values()) {
    if (!isWanted(flow, input)) continue;
    const entry = entryOf(flow);
    entry.segments += segments;
    entry.packets += events;
    entry.byKind[kind] = (entry.byKind[kind] ?? 0) + segments;
  }
  const unsent = Map.groupBy(
    [...counters.failures.values()].filter((failure) => !failure.isCounted && isWanted(failure.flow, input)),
    ({ flow }) => flow.id,
  );
  for (const [first] of unsent.values()) if (first !== undefined) entryOf(first.flow);
  // Without the kernel's types nobody knows whose segments they were, and no drop was looked for: nothing follows from them.
  const known = [...flows.values()].filter(({ flow }) => flow.destination !== null);
  const list = known.map(({ flow, segments, packets, byKind }): RetransFlow => {
    const named = nameFlow(flow, counters.socket(flow)?.inode ?? 0, input);
    return {
      source: flow.source,
      sourcePort: flow.sourcePort,
      destination: flow.destination,
      destinationPort: flow.destinationPort,
      netns: flow.netns === 0 ? null : flow.netns,
      segments,
      packets,
      byKind,
      owner: named.pid === null ? null : { pid: named.pid, comm: named.comm ?? "?" },
      drops:
        flow.source === null
          ? []
          : (drops.get(pairId(flow.source, flow.sourcePort, flow.destination, flow.destinationPort)) ?? []),
      unsent: (unsent.get(flow.id) ?? []).map(({ error, count }) => ({ error, count })),
    };
  });
  const wanted = [...counters.resets.values()].filter(({ flow }) => isWanted(flow, input));
  const resets = wanted.map((reset): ResetFlow => {
    const row = nameReset(reset.flow, reset, counters.socket(reset.flow)?.inode ?? 0, input);
    return {
      ...row,
      netns: reset.flow.netns === 0 ? null : reset.flow.netns,
      owner: row.pid === null ? null : { pid: row.pid, comm: row.comm ?? "?" },
      count: reset.count,
    };
  });
  const places = listPlaces(
    names,
    [...list, ...resets, ...input.drops].map(({ netns }) => netns),
    evidence.networks(),
  );
  const facts: Facts = {
    seconds: input.seconds,
    drops: [...new Set(list.flatMap((flow) => flow.drops))],
    hasReason: (reason) => input.reasons.has(reason),
    // Only the drops of these connections are here, so counters move for others too.
    isFiltered: true,
    networks: evidence.networks(),
    places,
    owners: evidence.owners(),
    kernelLog: [],
    describe: (drop) => tellDrop(drop, drop.netns === null ? null : (places.get(drop.netns) ?? null)),
  };
  return { facts, flows: list, resets };
}
