import { changeOf, changeOfWrapping } from "../../change.ts";
import type { ConntrackDelta, CounterDelta, HostNetCounters, SoftnetDelta, TableDelta } from "../types.ts";
import type { Ends } from "./context.ts";
import { movedIn } from "./match.ts";

/** Counters that moved, in the kernel's order. */
export function deltaCounters(ends: Ends): CounterDelta[] {
  const before = ends.before?.counters.counters ?? (ends.created ? {} : null);
  const after = ends.after.counters.counters;
  if (before === null || after === null) return [];
  return Object.entries(movedIn(before, after, true)).map(([name, change]) => ({
    netns: ends.netns,
    name,
    before: change.before ?? 0,
    after: change.after ?? 0,
    delta: change.delta ?? 0,
  }));
}

export function deltaConntrack(ends: Ends): ConntrackDelta | null {
  const after = ends.after.counters.conntrack;
  const before = ends.before?.counters.conntrack ?? null;
  if (after === null) return null;
  return {
    netns: ends.netns,
    count: { before: before?.count ?? null, after: after.count },
    max: after.max,
    stats: movedIn(before?.stats ?? null, after.stats ?? {}, ends.created),
  };
}

/** CPU by CPU; CPUs without a number (old kernels) by their line. */
export function deltaSoftnet(
  before: HostNetCounters | null,
  after: HostNetCounters | null,
): SoftnetDelta[] | null {
  if (before === null || after?.softnet == null || before.softnet === null) return null;
  const first = before.softnet;
  return after.softnet.map((cpu, index) => {
    const twin = cpu.cpu === null ? first[index] : first.find((item) => item.cpu === cpu.cpu);
    return {
      cpu: cpu.cpu,
      processed: changeOfWrapping(twin?.processed ?? null, cpu.processed),
      dropped: changeOfWrapping(twin?.dropped ?? null, cpu.dropped),
      timeSqueeze: changeOfWrapping(twin?.timeSqueeze ?? null, cpu.timeSqueeze),
      flowLimit:
        cpu.flowLimit === null
          ? changeOf(null, null)
          : changeOfWrapping(twin?.flowLimit ?? null, cpu.flowLimit),
    };
  });
}

/** Columns of a host-wide table that moved; null where it was not read at both ends. */
export function deltaTable(
  before: HostNetCounters | null,
  after: HostNetCounters | null,
  table: "arp" | "ndisc" | "routing",
): TableDelta | null {
  const first = before?.[table] ?? null;
  const last = after?.[table] ?? null;
  if (first === null || last === null) return null;
  // The size of the table goes up and down: no event.
  const { entries: _, ...counted } = last;
  return movedIn(first, counted, true);
}
