import { plural } from "../../../../src/text/format.ts";
import { raiseLimit, showCgroup, showLog } from "../commands.ts";
import { HEADROOM } from "../suggest.ts";
import { sayBytes, sayName, roundUpSize } from "../words.ts";
import type { OomGroupFacts } from "../facts.ts";
import type { OomRule } from "./rule.ts";
import { sayHolders, sayScope, sayTrigger, sayVictims } from "./subject.ts";

/** Which cgroups had kills, where the log names none (both cgroup versions count them). */
const FIND_KILLED =
  "find /sys/fs/cgroup \\( -name memory.events -o -name memory.oom_control \\) -exec grep -H 'oom_kill [1-9]' {} +";

/** The smallest limit worth trying: all memory and swap in use at the kill, and a quarter more. */
export function suggestLimit(facts: OomGroupFacts): number | null {
  const needed = facts.neededBytes ?? facts.limitBytes;
  return needed === null ? null : roundUpSize(needed * HEADROOM);
}

function sayCounters(facts: OomGroupFacts): string[] {
  const lines: string[] = [];
  const { memory } = facts.sample;
  if (facts.usageBytes !== null) {
    const limit = facts.limitBytes === null ? "no limit" : `of ${sayBytes(facts.limitBytes)}`;
    const fails = facts.failcnt === null ? "" : `, at the limit ${plural(facts.failcnt, "time")}`;
    lines.push(`memory: ${sayBytes(facts.usageBytes)} in use ${limit}${fails}`);
  }
  const swap = memory?.swap ?? memory?.memorySwap ?? null;
  if (swap !== null) {
    const limit = swap.limitBytes === null ? "no limit" : `limit ${sayBytes(swap.limitBytes)}`;
    lines.push(
      `${memory?.swap === null ? "memory+swap" : "swap"}: ${sayBytes(swap.usageBytes)} in use, ${limit}`,
    );
  }
  const stats = memory?.stats ?? null;
  if (stats?.anonBytes != null) {
    const kernel = stats.kernelBytes === null ? "" : `, kernel ${sayBytes(stats.kernelBytes)}`;
    lines.push(
      `of it: anonymous ${sayBytes(stats.anonBytes)}, page cache ${sayBytes(stats.fileBytes)} (of that shared ${sayBytes(stats.shmemBytes)})${kernel}`,
    );
  }
  return lines;
}

/** Victims lived below the cgroup whose limit was hit. */
function sayParent(facts: OomGroupFacts): string[] {
  const below = facts.victimCgroups.filter((entry) => entry.cgroup !== facts.cgroup);
  if (below.length === 0 || facts.cgroup === null) return [];
  const names = below.slice(0, 3).map((entry) => sayName(entry.cgroup));
  const more = below.length > 3 ? ` and ${String(below.length - 3)} more` : "";
  const known = facts.victimCgroups.reduce((sum, { count }) => sum + count, 0);
  const who = known < facts.kills ? "victims whose cgroup is known lived" : "the victims lived";
  return [`the limit is that of the parent ${sayName(facts.cgroup)}; ${who} in ${names.join(", ")}${more}`];
}

/** A memory cgroup reached its limit. */
export const cgroupLimit: OomRule = (facts) => {
  if (facts.kind !== "memcg") return null;
  const limit =
    facts.limitBytes === null ? "its memory limit" : `its memory limit of ${sayBytes(facts.limitBytes)}`;
  const summary = `${sayScope(facts)} reached ${limit}: ${sayVictims(facts)}`;
  const suggested = suggestLimit(facts);
  const { ref } = facts;
  const evidence = [...sayCounters(facts), ...sayParent(facts), ...sayHolders(facts), ...sayTrigger(facts)];
  if (suggested !== null && facts.neededBytes !== null) {
    evidence.push(
      `raise it to at least ${sayBytes(suggested)}: ${sayBytes(facts.neededBytes)} in use at the kill, a quarter more, rounded up; a lower bound, because it was still growing`,
    );
  }
  const log = ref === null ? null : showLog(ref.owner);
  return {
    id: "oom-cgroup-limit",
    severity: "problem",
    summary,
    count: facts.kills,
    netns: null,
    evidence,
    check: ref === null ? [FIND_KILLED] : [...showCgroup(ref), ...(log === null ? [] : [log])],
    fix: ref === null || suggested === null ? [] : raiseLimit(ref, suggested),
  };
};
