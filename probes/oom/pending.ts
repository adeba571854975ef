import type { RequestEvent, VictimEvent } from "./events.ts";
import { combineKill, isKill, type CgroupChain, type KillSides, type TaskFacts } from "./combine.ts";
import { scopeOfStack } from "./log/trace.ts";
import type { OomReport } from "./record.ts";

/** One kill, complete as far as it will get. `at`: seconds since the session's start when it was first heard of. */
export interface JoinedKill {
  readonly report: OomReport;
  readonly at: number;
}

/** Joins what the tracepoint and the kernel log say of the same victim; each victim comes out once. */
export interface KillJoiner {
  event(event: VictimEvent, at: number): void;
  request(event: RequestEvent, at: number): void;
  name(pid: number, comm: string): void;
  task(pid: number, facts: TaskFacts | null): void;
  /** The answer to `cgroupQuestion`. */
  cgroup(question: string, chain: CgroupChain): void;
  report(report: OomReport, at: number): void;
  /** Kills whose both sides are there, and those that have waited long enough for the other one. */
  take(at: number): JoinedKill[];
  /** All that is left. */
  end(): JoinedKill[];
  /** Victims that were ending anyway: marked by the kernel, not killed. */
  readonly exiting: number;
}

/** A kill that the log printed but no event told (seconds): events come within a tenth of a second, but not where bpftrace itself waits for memory. */
const EVENT_PATIENCE = 1.5;
/** One that only the event told: a console that prints at 9600 baud delays the log for seconds, but not its reader. */
const LOG_PATIENCE = 1.5;
/** The same where the host itself has no memory left: whoever reads the log waits for some, too (1.6 s seen). */
const HOST_LOG_PATIENCE = 5;
/** How long a kill waits for what was asked about its tasks and its cgroup (seconds): answers take milliseconds. */
const ANSWER_PATIENCE = 1;
/** How long a victim that came out is remembered, so that its other half does not come out too. */
const MEMORY = 30;

interface Open {
  readonly at: number;
  event: VictimEvent | null;
  request: RequestEvent | null;
  comm: string | null;
  report: OomReport | null;
}

/**
 * The key of a question `memory-cgroup` about the invoker's cgroup, null where its number is not known. A key is asked once, and the figures
 * of each kill are its own: so the victim is part of it.
 */
export function cgroupQuestion({ cgroupId, pid }: VictimEvent): string | null {
  return cgroupId === null ? null : `${cgroupId} ${String(pid)}`;
}

function patienceWith(event: VictimEvent | null): number {
  if (event === null) return EVENT_PATIENCE;
  return scopeOfStack(event.frames) === "host" ? HOST_LOG_PATIENCE : LOG_PATIENCE;
}

/** `followsLog`: whether the kernel log can be read, so that its silence means something. */
export function createKillJoiner(pageSize: number, followsLog: () => boolean): KillJoiner {
  const open = new Map<number, Open>();
  const out = new Map<number, number>();
  const tasks = new Map<number, TaskFacts | null>();
  const cgroups = new Map<string, CgroupChain>();
  const anonymous: JoinedKill[] = [];
  let request: RequestEvent | null = null;
  let exiting = 0;

  function find(pid: number, at: number): Open | null {
    const known = open.get(pid);
    if (known !== undefined) return known;
    const done = out.get(pid);
    if (done !== undefined && at - done < MEMORY) return null;
    const made: Open = { at, event: null, request: null, comm: null, report: null };
    open.set(pid, made);
    return made;
  }

  function conclude(pid: number, kill: Open): JoinedKill[] {
    open.delete(pid);
    out.set(pid, kill.at);
    const { event, report } = kill;
    // Only marked: the kernel prints nothing for a process that is ending anyway.
    if (event !== null && report === null && followsLog() && !isKill(event)) {
      exiting += 1;
      return [];
    }
    const question = (event === null ? null : cgroupQuestion(event)) ?? "";
    const sides: KillSides = {
      ...kill,
      victim: tasks.get(pid) ?? null,
      invoker: event === null ? null : (tasks.get(event.invoker.pid) ?? null),
      cgroups: event === null ? [] : (chainOf(event) ?? []),
    };
    cgroups.delete(question);
    return [{ report: combineKill(sides, pageSize), at: kill.at }];
  }

  /** Undefined: the answer is still to come. Recordings of the first versions have the number alone as the key. */
  function chainOf(event: VictimEvent): CgroupChain | undefined {
    const question = cgroupQuestion(event);
    if (question === null) return [];
    return cgroups.get(question) ?? cgroups.get(event.cgroupId ?? "");
  }

  function isAnswered(event: VictimEvent): boolean {
    return tasks.has(event.pid) && tasks.has(event.invoker.pid) && chainOf(event) !== undefined;
  }

  function forget(at: number): void {
    for (const [pid, time] of out) if (at - time > MEMORY) out.delete(pid);
    if (open.size === 0 && tasks.size > 1000) tasks.clear();
  }

  return {
    get exiting() {
      return exiting;
    },
    event(event, at) {
      const kill = find(event.pid, at);
      if (kill === null || kill.event !== null) return;
      kill.event = event;
      // The request runs in the same task just before its victims are marked.
      if (request?.tid === event.invoker.tid && event.monotonic - request.monotonic < 1)
        kill.request = request;
    },
    request(event) {
      request = event;
    },
    name(pid, comm) {
      const kill = open.get(pid);
      if (kill !== undefined) kill.comm = comm;
    },
    task(pid, facts) {
      tasks.set(pid, facts);
    },
    cgroup(question, chain) {
      cgroups.set(question, chain);
    },
    report(report, at) {
      const { pid } = report.victim;
      // Cut inside the number: it cannot be joined to anything.
      if (pid === null) anonymous.push({ report, at });
      else {
        const kill = find(pid, at);
        if (kill !== null) kill.report ??= report;
      }
    },
    take(at) {
      forget(at);
      const kills = anonymous.splice(0);
      for (const [pid, kill] of open) {
        const leader = kill.report?.group?.leaderPid ?? pid;
        // Whoever was chosen is told first, then those that died with it.
        if (leader !== pid && open.has(leader)) continue;
        const isWhole =
          kill.event !== null &&
          kill.report !== null &&
          (isAnswered(kill.event) || at - kill.at >= ANSWER_PATIENCE);
        const patience = patienceWith(kill.event);
        if (isWhole || at - kill.at >= patience) kills.push(...conclude(pid, kill));
      }
      return kills;
    },
    end: () => [...anonymous.splice(0), ...[...open].flatMap(([pid, kill]) => conclude(pid, kill))],
  };
}
