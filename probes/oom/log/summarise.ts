import { compareSeverity } from "../../../src/diagnose/order.ts";
import type { OomReport } from "../record.ts";
import type { OomGroupFacts } from "./facts.ts";
import type { OomFinding } from "./finding.ts";
import { createGatherer } from "./gather.ts";
import type { OomLogNotes } from "./parse.ts";
import { fragmentation, cgroupSwapFull, lowZone, manual, swapFull } from "./rules/allocator.ts";
import { cgroupLimit } from "./rules/cgroup-limit.ts";
import { manyProcesses, victimNotLargest } from "./rules/holders.ts";
import { allowedNodes, hostOutOfMemory } from "./rules/host.ts";
import { dirtyCache, hugePages, kernelMemory, sharedMemory, unaccounted } from "./rules/kinds-of-memory.ts";
import { judgeLog } from "./rules/log.ts";
import { groupKill, repeats, series, storm } from "./rules/repeats.ts";
import type { OomRule } from "./rules/rule.ts";

/** The contract's summary of `oom`, without its envelope. */
export interface OomSummary {
  kills: number;
  /** Kills by the cgroup whose limit was hit; "(host)" and "(unknown)" for those without one. */
  byCgroup: Record<string, number>;
  groups: OomGroupFacts[];
  findings: OomFinding[];
  /** Kills in more groups than are kept: counted in `kills` only. */
  ungrouped: number;
}

export interface OomSummariser {
  add(report: OomReport): void;
  result(notes?: OomLogNotes): OomSummary;
}

const RULES: readonly OomRule[] = [
  cgroupLimit,
  hostOutOfMemory,
  allowedNodes,
  fragmentation,
  lowZone,
  repeats,
  series,
  storm,
  sharedMemory,
  kernelMemory,
  dirtyCache,
  hugePages,
  unaccounted,
  manyProcesses,
  victimNotLargest,
  swapFull,
  cgroupSwapFull,
  groupKill,
  manual,
];

function keyOf(group: OomGroupFacts): string {
  if (group.kind === "memcg") return group.cgroup ?? "(unknown)";
  return group.kind === null ? "(unknown)" : "(host)";
}

/** Collects kills one by one (constant memory per cgroup) and concludes at the end. */
export function createOomSummariser(): OomSummariser {
  const gatherer = createGatherer();
  return {
    add: (report) => {
      gatherer.add(report);
    },
    result(notes) {
      const groups = gatherer.groups();
      const byCgroup = new Map<string, number>();
      for (const group of groups) byCgroup.set(keyOf(group), (byCgroup.get(keyOf(group)) ?? 0) + group.kills);
      const findings = groups.flatMap((group) => RULES.flatMap((rule) => rule(group) ?? []));
      const bare = groups.reduce((sum, group) => sum + group.bare, 0);
      findings.push(
        ...judgeLog({
          bare,
          suppressed: notes?.suppressed ?? 0,
          incidents: notes?.incidents ?? [],
        }),
      );
      return {
        kills: gatherer.kills,
        byCgroup: Object.fromEntries(byCgroup),
        groups,
        findings: findings.toSorted(compareSeverity),
        ungrouped: gatherer.dropped,
      };
    },
  };
}

/** The same for reports that are all at hand. */
export function summarise(reports: Iterable<OomReport>, notes?: OomLogNotes): OomSummary {
  const summariser = createOomSummariser();
  for (const report of reports) summariser.add(report);
  return summariser.result(notes);
}
