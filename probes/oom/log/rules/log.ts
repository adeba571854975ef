import type { OomIncident } from "../../record.ts";
import { findOwner } from "../cgroup-owner.ts";
import { plural } from "../../../../src/text/format.ts";
import type { OomFinding } from "../finding.ts";
import { sayName, sayProcess } from "../words.ts";

/** What the log as a whole says besides kills. */
export interface LogFacts {
  suppressed: number;
  /** Kills without a report of their own. */
  bare: number;
  incidents: readonly OomIncident[];
}

function finding(
  id: string,
  severity: OomFinding["severity"],
  count: number,
  summary: string,
  rest: Partial<OomFinding>,
): OomFinding {
  return { id, severity, summary, count, netns: null, evidence: [], check: [], fix: [], ...rest };
}

function sayWhere(incident: OomIncident): string {
  const { cgroup, kind } = incident.scope;
  if (cgroup !== null) return sayName(findOwner(cgroup).label);
  if (kind === null) return "something (the log does not say what)";
  return kind === "memcg" ? "a memory cgroup" : "the host";
}

function noVictim(incidents: readonly OomIncident[]): OomFinding[] {
  const all = incidents.filter((incident) => incident.kind === "no-killable-process");
  // In a storm most of them lost their report: they are counted with one that has it.
  const hasNamed = all.some(({ scope }) => scope.cgroup !== null);
  const isKnown = ({ scope }: OomIncident) =>
    scope.kind !== null && (scope.kind !== "memcg" || scope.cgroup !== null || !hasNamed);
  const known = all.filter(isKnown);
  const byPlace = Map.groupBy(known.length === 0 ? all : known, sayWhere);
  return [...byPlace].map(([where, some], index) => {
    const count = some.length + (index === 0 && known.length > 0 ? all.length - known.length : 0);
    const invoker = some.find((incident) => incident.invoker.comm !== null)?.invoker;
    const who = invoker === undefined ? "" : `; ${sayProcess(invoker.comm, invoker.pid)} asked`;
    return finding(
      "oom-no-killable-process",
      "problem",
      count,
      `${where} was out of memory ${plural(count, "time")} with nothing to kill: every process in it is protected (oom_score_adj -1000)`,
      {
        evidence: [`"Out of memory and no killable processes" ${plural(count, "time")}${who}`],
        check: ["grep -l '^-1000$' /proc/[0-9]*/oom_score_adj"],
        fix: ["# raise the limit, or let one of them be killed: choom -n 0 -p PID"],
      },
    );
  });
}

/** Findings over the whole log: what its kills do not show. */
export function judgeLog(facts: LogFacts): OomFinding[] {
  const found = noVictim(facts.incidents);
  const panics = facts.incidents.filter((incident) => incident.kind === "panic").length;
  if (panics > 0) {
    found.push(
      finding(
        "oom-panic",
        "problem",
        panics,
        "The kernel panicked instead of killing: vm.panic_on_oom is set, or nothing could be killed",
        {
          check: ["sysctl vm.panic_on_oom"],
          fix: ["sysctl -w vm.panic_on_oom=0"],
        },
      ),
    );
  }
  if (facts.bare > 0) {
    const said = facts.suppressed === 0 ? "" : `; the kernel counted ${String(facts.suppressed)} suppressed`;
    found.push(
      finding(
        "oom-reports-suppressed",
        "info",
        facts.bare,
        `${plural(facts.bare, "kill")} left one line only: limit, cgroup and processes are not in the log`,
        { evidence: [`the kernel prints at most 10 full reports in 5 seconds${said}`] },
      ),
    );
  }
  const cut = facts.incidents.filter((incident) => incident.kind === "cut").length;
  if (cut > 0) {
    found.push(
      finding(
        "oom-reports-cut",
        "info",
        cut,
        `${plural(cut, "report")} without a kill in the log: not counted`,
        {
          evidence: [
            "lines are missing: the ring buffer was overwritten, or the log daemon dropped messages",
          ],
        },
      ),
    );
  }
  return found;
}
