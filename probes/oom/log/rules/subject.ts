import type { OomGroupFacts } from "../facts.ts";
import { findHolders } from "../holders.ts";
import { sayBytes, sayName, sayProcess, sayShare } from "../words.ts";

/** Slower growth (bytes a second) fills nothing within minutes. */
const NOTABLE_GROWTH = 64 * 1024;

/** What had run out, as a subject: "docker container 5f1a…", "cgroup /job", "the host web-1". */
export function sayScope(facts: OomGroupFacts): string {
  if (facts.kind === "memcg") {
    return facts.ref === null ? "a memory cgroup the log does not name" : sayName(facts.ref.owner.label);
  }
  const host = facts.host === null ? "the host" : `the host ${sayName(facts.host)}`;
  if (facts.kind === "cpuset") return `a cpuset's memory nodes on ${host}`;
  return facts.kind === "mempolicy" ? `the nodes of a memory policy on ${host}` : host;
}

/** "4 processes were killed (perl 3 times, java once)". */
export function sayVictims(facts: OomGroupFacts): string {
  const names = facts.victims.slice(0, 3).map((victim) => {
    const times = victim.count === 1 ? "once" : `${String(victim.count)} times`;
    return `${sayName(victim.comm)} ${times}`;
  });
  if (facts.victims.length > 3) names.push("others");
  const only = facts.victims[0];
  if (facts.kills === 1 && only !== undefined)
    return `${sayProcess(only.comm, facts.sample.victim.pid)} was killed`;
  return `${String(facts.kills)} processes were killed (${names.join(", ")})`;
}

/** Who held the memory, as evidence lines. Shares are of all the memory listed. */
export function sayHolders(facts: OomGroupFacts): string[] {
  const holders = findHolders(facts.sample);
  if (holders === null) return [];
  // Less than a hundredth explains nothing.
  const some = holders.byName.filter((holder) => holder.rssBytes >= holders.totalRssBytes / 100);
  return some.slice(0, 3).map((holder) => {
    const who =
      holder.processes === 1
        ? sayProcess(holder.comm, holder.largest.pid)
        : `${String(holder.processes)} processes named ${sayName(holder.comm)}`;
    const swap = holder.swapBytes === 0 ? "" : ` and ${sayBytes(holder.swapBytes)} in swap`;
    const share =
      holders.processes === 1
        ? "the only process there"
        : `${sayShare(holder.rssBytes, holders.totalRssBytes)} of what all ${String(holders.processes)} processes there held`;
    const growth = holder.processes === 1 ? (holder.largest.growthBytesPerSecond ?? 0) : 0;
    const grew = growth < NOTABLE_GROWTH ? "" : `, and grew by ${sayBytes(growth)} a second before the kill`;
    return `${who} held ${sayBytes(holder.rssBytes)}${swap}: ${share}${grew}`;
  });
}

/** Where and when the latest kill was asked for. */
export function sayTrigger(facts: OomGroupFacts): string[] {
  const { invoker, gfpMeaning } = facts.sample;
  if (invoker.comm === null) return [];
  const meaning = gfpMeaning === null ? "" : ` ${gfpMeaning}`;
  return [`${sayProcess(invoker.comm, invoker.pid)} triggered the last one.${meaning}`];
}
