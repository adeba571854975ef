import { findHolders } from "../holders.ts";
import { sayBytes, sayName, sayProcess, sayShare, shellWord } from "../words.ts";
import type { OomRule } from "./rule.ts";

/** Fewer are a handful of workers; the sum, not a single leak, has to be looked at from here on. */
const MANY = 5;
const MOST = 0.5;
/** The memory is spread over many processes of one name: a pool or a fork bomb. */
export const manyProcesses: OomRule = (facts) => {
  const holders = findHolders(facts.sample);
  const top = holders?.byName[0];
  if (holders === null || top === undefined || top.processes < MANY) return null;
  if (top.rssBytes < holders.totalRssBytes * MOST) return null;
  return {
    id: "oom-many-processes",
    severity: "suspicious",
    summary: `No single process: ${String(top.processes)} processes named ${sayName(top.comm)} held ${sayShare(top.rssBytes, holders.totalRssBytes)} of the memory together`,
    count: facts.kills,
    netns: null,
    evidence: [
      `together ${sayBytes(top.rssBytes)}, the largest (${String(top.largest.pid)}) ${sayBytes(top.largest.rssBytes)}; shared pages count in each`,
    ],
    check: ["ps -eo comm --no-headers | sort | uniq -c | sort -rn | head -n 10"],
    fix: [
      "# lower the number of workers, or give each less; look for what starts them if they should be few",
    ],
  };
};

/** Someone else held more: oom_score_adj decided. */
export const victimNotLargest: OomRule = (facts) => {
  const report = facts.unfair;
  if (report === null) return null;
  const { victim } = report;
  const large = report.tasks[0];
  const own = report.tasks.find((task) => task.pid === victim.pid);
  if (large === undefined || own === undefined) return null;
  const protectedByAdj = (large.oomScoreAdj ?? 0) < (own.oomScoreAdj ?? 0);
  if (!protectedByAdj) return null;
  const what =
    large.oomScoreAdj === -1000
      ? "may not be killed (oom_score_adj -1000)"
      : `has oom_score_adj ${String(large.oomScoreAdj)}`;
  return {
    id: "oom-victim-not-largest",
    severity: "suspicious",
    summary: `${sayProcess(victim.comm, victim.pid)} died for the memory of ${sayProcess(large.comm, large.pid)}, which ${what}`,
    count: 1,
    netns: null,
    evidence: [
      `the victim held ${sayBytes(own.rssBytes)} with oom_score_adj ${String(own.oomScoreAdj)}, ${sayProcess(large.comm, large.pid)} ${sayBytes(large.rssBytes)} with ${String(large.oomScoreAdj)}`,
    ],
    check: ["grep -H . /proc/[0-9]*/oom_score_adj | grep -v ':0$' | sort -t: -k2 -n"],
    fix:
      (large.oomScoreAdj ?? 0) < 0
        ? [`pgrep -x -- ${shellWord(large.comm)} | xargs -n 1 choom -n 0 -p`]
        : ["# start the victim's program with a lower score: choom -n 0 -- COMMAND"],
  };
};
