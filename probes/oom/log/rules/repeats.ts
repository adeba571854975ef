import { formatSeconds, plural } from "../../../../src/text/format.ts";
import { showLog } from "../commands.ts";
import { ordinal, sayName, shellWord } from "../words.ts";
import type { OomGroupFacts } from "../facts.ts";
import type { OomRule } from "./rule.ts";
import { sayScope } from "./subject.ts";

/** Twice can be chance (a worker and its successor); three times within the window is a pattern. */
const LOOP_EVENTS = 3;

/** The same cause over and over, with new processes each time: something restarts what is killed. */
export const repeats: OomRule = (facts) => {
  const { burst } = facts;
  if (burst === null || burst.events < LOOP_EVENTS || facts.restarts < LOOP_EVENTS - 1 || isNameless(facts))
    return null;
  const top = facts.victims[0];
  const same = top !== undefined && top.count * 2 > facts.kills;
  const log = facts.ref === null ? null : showLog(facts.ref.owner);
  const unit = facts.ref?.owner.kind === "systemd" ? facts.ref.owner.unit : null;
  // Without a task table nobody knows who ran already.
  const isSure = facts.sample.tasks.length > 0;
  return {
    id: "oom-crash-loop",
    severity: isSure ? "problem" : "suspicious",
    summary: `${ordinal(burst.events)} kill in ${sayScope(facts)} within ${formatSeconds(burst.seconds)}: ${isSure ? "a" : "probably a"} crash loop`,
    count: facts.kills,
    netns: null,
    evidence: [
      `${String(burst.events)} times out of memory within ${formatSeconds(burst.seconds)}, ${plural(facts.kills, "kill")} in all; ${isSure ? `${String(facts.restarts)} of the victims were not in the task table of the kill before` : "there is no task table, so it is not known which of the victims ran all along"}`,
      ...(same && isSure
        ? [`${sayName(top.comm)} was the victim ${String(top.count)} times: it grows to the limit each time`]
        : []),
    ],
    check: [
      ...(log === null ? [] : [log]),
      ...(unit === null ? [] : [`systemctl status ${shellWord(unit)}`]),
    ],
    fix: [],
  };
};

/** Kills in cgroups that the log does not name may have nothing in common but their time. */
function isNameless(facts: OomGroupFacts): boolean {
  return facts.kind === null || (facts.kind === "memcg" && facts.cgroup === null);
}

/** Many kills at once, and no word where. */
export const storm: OomRule = (facts) => {
  const { burst } = facts;
  if (burst === null || burst.events < LOOP_EVENTS || !isNameless(facts)) return null;
  const names = facts.victims
    .slice(0, 5)
    .map((victim) => `${sayName(victim.comm)} (${String(victim.count)})`);
  return {
    id: "oom-storm",
    severity: "suspicious",
    summary: `${plural(burst.events, "kill")} within ${formatSeconds(burst.seconds)} in places that the log does not name`,
    count: facts.kills,
    netns: null,
    evidence: [`most often killed: ${names.join(", ")}`],
    check: [],
    fix: [],
  };
};

/** Several kills in a row among processes that were there all along. */
export const series: OomRule = (facts) => {
  const { burst } = facts;
  if (
    burst === null ||
    burst.events < LOOP_EVENTS ||
    facts.restarts >= LOOP_EVENTS - 1 ||
    isNameless(facts)
  ) {
    return null;
  }
  return {
    id: "oom-kill-series",
    severity: "suspicious",
    summary: `${ordinal(burst.events)} kill in ${sayScope(facts)} within ${formatSeconds(burst.seconds)}: one kill did not free enough`,
    count: facts.kills,
    netns: null,
    evidence: [
      `${String(burst.events)} times out of memory within ${formatSeconds(burst.seconds)}; the victims ran already at the first kill, so others took at once what a victim freed`,
    ],
    check: [],
    fix: [],
  };
};

/** More processes than one died on purpose. */
export const groupKill: OomRule = (facts) => {
  const cgroup = facts.sample.group?.cgroup ?? null;
  if (facts.grouped < 2) return null;
  const where = cgroup === null ? "the cgroup" : sayName(cgroup);
  return {
    id: "oom-group-kill",
    severity: "info",
    summary: `${String(facts.grouped)} of the kills belong to groups that die together: memory.oom.group is set in ${where}`,
    count: facts.grouped,
    netns: null,
    evidence: [
      `${String(facts.grouped)} processes died in ${plural(facts.events, "event")}; the others were not out of memory themselves`,
    ],
    check: [],
    fix: [],
  };
};
