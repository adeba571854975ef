import type {
  MemcgMemory,
  OomInvoker,
  OomPart,
  OomReport,
  OomScope,
  OomScopeKind,
  OomTask,
} from "../record.ts";
import type { Draft, Kill, Moment } from "./draft.ts";
import { parseChosen } from "./kill-line.ts";
import { explainGfp, splitGfp } from "./gfp.ts";
import { buildMemcg } from "./memcg.ts";
import { buildMemInfo } from "./mem-info.ts";
import { findPageSize } from "./page-size.ts";
import { buildTask, buildTasks } from "./task-table.ts";
import { buildStack, scopeOfStack } from "./trace.ts";

const CONSTRAINTS: Readonly<Record<string, OomScopeKind>> = {
  CONSTRAINT_NONE: "host",
  CONSTRAINT_CPUSET: "cpuset",
  CONSTRAINT_MEMORY_POLICY: "mempolicy",
  CONSTRAINT_MEMCG: "memcg",
};

/** What ran out, from the surest statement to the weakest; null where nothing says so. */
export function decideKind(draft: Draft, kill: Kill | null): OomScopeKind | null {
  const { chosen } = draft;
  // 5.0–5.1 print CONSTRAINT_NONE for memory cgroups too, but name the cgroup.
  if (chosen?.oomCgroup != null || draft.limitOf !== null || kill?.memcg === true) return "memcg";
  if (chosen !== null) {
    const named = chosen.constraint === null ? undefined : CONSTRAINTS[chosen.constraint];
    if (named !== undefined && (named !== "host" || chosen.global || kill?.memcg === false)) return named;
  }
  const stack = draft.interleaved ? null : scopeOfStack(draft.frames);
  if (stack === "memcg" || draft.score?.memcg === true) return "memcg";
  if (stack === "host" || kill?.memcg === false || draft.score?.memcg === false || draft.memInfo !== null) {
    // Up to 4.19 the header names the nodes of a memory policy and no line names the constraint.
    const nodes = draft.header?.nodemask ?? null;
    return chosen === null && nodes !== null && nodes !== "(null)" ? "mempolicy" : "host";
  }
  return draft.memcg === null ? null : "memcg";
}

function buildScope(draft: Draft, kill: Kill | null, memory: MemcgMemory | null): OomScope {
  const kind = decideKind(draft, kill);
  const cgroup = draft.chosen?.oomCgroup ?? draft.limitOf?.limit ?? draft.memcg?.cgroup ?? null;
  return {
    kind,
    cgroup: kind === "memcg" ? cgroup : null,
    limitBytes: kind === "memcg" ? (memory?.limitBytes ?? null) : null,
    usageBytes: kind === "memcg" ? (memory?.usageBytes ?? null) : null,
    failcnt: kind === "memcg" ? (memory?.failcnt ?? null) : null,
  };
}

function buildInvoker(draft: Draft, victimPid: number | null, victimCgroup: string | null): OomInvoker {
  const { header, cpu } = draft;
  // A comm with a newline reaches some logs as two lines: the header then shows its end only.
  const cpuComm = cpu !== null && (header?.comm == null || cpu.comm.endsWith(header.comm)) ? cpu.comm : null;
  return {
    pid: cpu?.pid ?? null,
    tid: cpu?.pid ?? null,
    comm: cpuComm ?? header?.comm ?? null,
    gfpMask: header?.mask ?? null,
    order: header?.order ?? null,
    oomScoreAdj: header?.adj ?? null,
    cgroup: cpu !== null && cpu.pid === victimPid ? victimCgroup : null,
  };
}

function missingParts(draft: Draft, memory: boolean, stack: boolean, tasks: boolean): OomPart[] {
  const missing: OomPart[] = [];
  if (draft.header === null) missing.push("header");
  if (!stack) missing.push("stack");
  if (!memory) missing.push("memory");
  if (!tasks) missing.push("tasks");
  // Kernels before 5.0 say it in other lines.
  if (draft.chosen === null && draft.limitOf === null && draft.score === null) missing.push("summary");
  return missing;
}

/**
 * Parts of an interleaved report that no name ties to it are dropped: null is better than another report's figure.
 * The usage is tied by the cgroup's path in the next line but one; what stands between and after may be anyone's.
 */
function provableMemcg(draft: Draft): Draft["memcg"] {
  const { memcg } = draft;
  if (memcg === null || !draft.interleaved) return memcg;
  const owner = draft.chosen?.oomCgroup ?? draft.limitOf?.limit ?? null;
  const memory = memcg.counters.get("memory");
  if (memory === undefined || memcg.cgroup === null || memcg.cgroup !== owner) return null;
  return { cgroup: owner, counters: new Map([["memory", memory]]), stats: new Map() };
}

/** The header, scope and invoker of a draft that ended without a kill. */
export function describeDraft(draft: Draft): { at: Moment; scope: OomScope; invoker: OomInvoker } {
  const memcg = provableMemcg(draft);
  return {
    at: draft.at,
    scope: buildScope(draft, null, memcg === null ? null : buildMemcg(memcg)),
    invoker: buildInvoker(draft, null, null),
  };
}

/** The summary line read again, now that the kill line told the victim's name. */
function withComm(draft: Draft, comm: string | null): Draft {
  const { chosen } = draft;
  if (chosen === null || comm === null || chosen.comm === comm) return draft;
  return { ...draft, chosen: parseChosen(chosen.text, chosen.constraint, comm) };
}

/** A draft and its kill line as one report. */
export function buildReport(read: Draft, kill: Kill): OomReport {
  const { figures } = kill;
  const draft = withComm(read, figures.comm);
  const memcg = provableMemcg(draft);
  const memory = memcg === null ? null : buildMemcg(memcg);
  const pageSize = findPageSize(draft, figures);
  const row = draft.table?.rows.find((candidate) => candidate.pid === figures.pid);
  const own: OomTask | null = row === undefined ? null : buildTask(row, pageSize.bytes);
  const tasks = draft.table === null || draft.interleaved ? [] : buildTasks(draft.table, pageSize.bytes);
  const stack = draft.interleaved ? null : buildStack(draft.frames);
  const victimCgroup = draft.chosen?.taskCgroup ?? draft.limitOf?.task ?? null;
  const comm = figures.comm ?? draft.chosen?.comm ?? own?.comm ?? null;
  const flags = splitGfp(draft.header?.flags ?? null, draft.header?.mask ?? null, draft.cpu?.kernel ?? null);
  const order = draft.header?.order ?? null;
  const scope = buildScope(draft, kill, memory);
  const hostMemory =
    draft.memInfo === null || draft.interleaved ? null : buildMemInfo(draft.memInfo, pageSize.bytes);
  const missing = missingParts(
    draft,
    memory !== null || hostMemory !== null,
    stack !== null,
    tasks.length > 0,
  );
  return {
    source: "log",
    time: kill.at.time,
    monotonic: kill.at.monotonic,
    host: kill.at.host,
    scope,
    invoker: buildInvoker(draft, figures.pid, victimCgroup),
    victim: {
      pid: figures.pid,
      comm,
      uid: figures.uid ?? draft.chosen?.uid ?? own?.uid ?? null,
      cgroup: victimCgroup,
      totalVmBytes: figures.totalVmBytes,
      anonRssBytes: figures.anonRssBytes,
      fileRssBytes: figures.fileRssBytes,
      shmemRssBytes: figures.shmemRssBytes,
      pageTableBytes: figures.pageTableBytes ?? own?.pageTableBytes ?? null,
      oomScoreAdj: figures.oomScoreAdj ?? own?.oomScoreAdj ?? null,
      swapBytes: own?.swapBytes ?? null,
    },
    // The table of a console log shows only the first line of a comm with a newline.
    tasks: tasks.map((task) =>
      task.pid === figures.pid && comm?.startsWith(`${task.comm}\n`) === true ? { ...task, comm } : task,
    ),
    stack,
    order,
    gfpFlags: flags,
    gfpMeaning: explainGfp(flags, order, stack),
    memory,
    files: null,
    hostMemory,
    pageSize,
    tasksDropped: draft.table?.dropped ?? 0,
    reaped: null,
    group: null,
    likelyCgroup: null,
    complete: missing.length === 0,
    missing,
    interleaved: draft.interleaved,
    kernel: draft.cpu?.kernel ?? null,
    suppressedBefore: draft.suppressedBefore,
  };
}
