import { plural } from "../../../src/text/format.ts";
import type { OomReport } from "../record.ts";
import { findOwner } from "./cgroup-owner.ts";
import { findHolders } from "./holders.ts";
import { sayBytes, sayName, sayProcess, sayShare } from "./words.ts";

function sayCause(report: OomReport): string {
  const { scope } = report;
  if (report.order === -1) return "asked for by hand (SysRq-f)";
  if (scope.kind === "memcg") {
    const path = scope.cgroup ?? report.likelyCgroup;
    const where = path === null ? "a memory cgroup" : sayName(findOwner(path).label);
    const sure = scope.cgroup === null && path !== null ? "probably " : "";
    return `${sure}${where} reached its memory limit${scope.limitBytes === null ? "" : ` of ${sayBytes(scope.limitBytes)}`}`;
  }
  if (scope.kind === "cpuset") return "the nodes of its cpuset had no memory left";
  if (scope.kind === "mempolicy") return "the nodes of its memory policy had no memory left";
  return scope.kind === "host" ? "the host had no memory left" : "out of memory";
}

function sayAsked(report: OomReport): string | null {
  const { invoker } = report;
  if (invoker.comm === null) return null;
  const order = report.order === null || report.order < 0 ? "" : `, order ${String(report.order)}`;
  return `asked   ${sayProcess(invoker.comm, invoker.pid)}${order}. ${report.gfpMeaning ?? ""}`.trimEnd();
}

function sayLimit(report: OomReport): string | null {
  const { scope, memory, hostMemory } = report;
  if (scope.usageBytes !== null) {
    const limit = scope.limitBytes === null ? "no limit" : `of ${sayBytes(scope.limitBytes)}`;
    const fails = scope.failcnt === null ? "" : `, at the limit ${plural(scope.failcnt, "time")}`;
    const swap = memory?.swap == null ? "" : `; swap ${sayBytes(memory.swap.usageBytes)}`;
    return `limit   ${sayBytes(scope.usageBytes)} in use ${limit}${fails}${swap}`;
  }
  if (hostMemory === null) return null;
  const swap =
    hostMemory.swapTotalBytes === 0
      ? "no swap"
      : `swap ${sayBytes(hostMemory.swapFreeBytes)} free of ${sayBytes(hostMemory.swapTotalBytes)}`;
  return `memory  ${sayBytes(hostMemory.freeBytes)} free of ${sayBytes(hostMemory.totalBytes)}; ${swap}`;
}

/** A kill in at most five lines for a reader; names are escaped. */
export function describeKill(report: OomReport): string[] {
  const { victim } = report;
  const uid = victim.uid === null ? "" : `, uid ${String(victim.uid)},`;
  const lines = [`${sayProcess(victim.comm, victim.pid)}${uid} was killed: ${sayCause(report)}`];
  const asked = sayAsked(report);
  if (asked !== null) lines.push(asked);
  const limit = sayLimit(report);
  if (limit !== null) lines.push(limit);
  if (victim.anonRssBytes !== null) {
    const where = victim.cgroup === null ? "" : `; in ${sayName(victim.cgroup)}`;
    const adj = victim.oomScoreAdj === null ? "" : `, oom_score_adj ${String(victim.oomScoreAdj)}`;
    lines.push(
      `victim  anonymous ${sayBytes(victim.anonRssBytes)}, file ${sayBytes(victim.fileRssBytes)}, shared ${sayBytes(victim.shmemRssBytes)}, page tables ${sayBytes(victim.pageTableBytes)}${adj}${where}`,
    );
  }
  const holders = findHolders(report);
  if (holders !== null) {
    const top = holders.byName.slice(0, 3).map((holder) => {
      const who =
        holder.processes === 1
          ? sayProcess(holder.comm, holder.largest.pid)
          : `${String(holder.processes)} × ${sayName(holder.comm)}`;
      return `${who} ${sayBytes(holder.rssBytes)} (${sayShare(holder.rssBytes, holders.totalRssBytes)})`;
    });
    lines.push(`held by ${top.join(", ")}`);
  }
  return lines;
}
