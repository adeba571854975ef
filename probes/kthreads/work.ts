import { formatDeviceNumber } from "../../src/evidence/kthreads/parse.ts";
import type { KernelThreadEvidence, MountedDisk } from "../../src/evidence/kthreads/types.ts";
import type { ContextCounts, Labels } from "./contexts.ts";
import type { ThreadRow } from "./threads.ts";
import type { Totals } from "./totals.ts";

/** Time in one softirq vector on one CPU. */
export interface VectorRow {
  readonly vector: string;
  readonly cpu: number;
  /** Seconds and runs in ksoftirqd. */
  readonly own: number;
  readonly ownCount: number;
  /** The same at the end of an interrupt, or in the program that sent the packet. */
  readonly other: number;
  readonly otherCount: number;
}

export interface DeviceRow {
  /** Null: the backlog of packets that virtual devices and RPS hand over. */
  readonly device: string | null;
  readonly packets: number;
  /** Of these, in ksoftirqd. */
  readonly own: number;
  readonly polls: number;
  readonly full: number;
}

/** One work function over all workers. */
export interface FunctionRow {
  readonly name: string;
  /** Seconds from start to end, sleeping included. */
  readonly seconds: number;
  readonly count: number;
  readonly samples: number;
  /** Its workers, the one with most time first. */
  readonly threads: readonly ThreadRow[];
}

export interface CommitRow {
  readonly disk: MountedDisk | null;
  /** `8:1`. */
  readonly number: string;
  readonly count: number;
  readonly seconds: number;
  readonly blocks: number;
  /** Who called fsync on it, most often first. */
  readonly fsyncs: readonly CallerRow[];
}

export interface CallerRow {
  readonly pid: number;
  readonly comm: string | null;
  readonly count: number;
}

export interface ReceiverRow {
  readonly netns: string | null;
  readonly device: string;
  /** Packets received during the run. */
  readonly packets: number;
}

/** What kernel threads worked on. */
export interface Work {
  readonly vectors: readonly VectorRow[];
  readonly devices: readonly DeviceRow[];
  readonly functions: readonly FunctionRow[];
  readonly kswapdWakes: number;
  readonly kswapdCallers: readonly CallerRow[];
  readonly commits: readonly CommitRow[];
  readonly receivers: readonly ReceiverRow[];
  /** Reclaim counters of /proc/vmstat: how much they grew. */
  readonly memory: Readonly<Record<string, number>>;
}

export interface WorkInput {
  readonly totals: Totals;
  readonly counts: ContextCounts;
  readonly labels: Labels;
  readonly names: ReadonlyMap<number, string>;
  readonly threads: readonly ThreadRow[];
  readonly before: KernelThreadEvidence | null;
  readonly after: KernelThreadEvidence | null;
}

export function listWork(input: WorkInput): Work {
  const { totals, before, after } = input;
  return {
    vectors: listVectors(input),
    devices: listDevices(totals),
    functions: listFunctions(input),
    kswapdWakes: [...totals.kswapdWakes.values()].reduce((sum, count) => sum + count, 0),
    kswapdCallers: listCallers(totals.kswapdCallers, input.names),
    commits: listCommits(input),
    receivers: listReceivers(before, after),
    memory: listGrowth(before, after),
  };
}

function listVectors({ totals, labels }: WorkInput): VectorRow[] {
  const rows = new Map<string, { -readonly [Key in keyof VectorRow]: VectorRow[Key] }>();
  for (const [key, { seconds, count }] of totals.softirq) {
    const [cpu = 0, vector = 0, own = 0] = key.split(",").map(Number);
    const id = `${cpu},${vector}`;
    const row = rows.get(id) ?? {
      vector: labels.vector(vector),
      cpu,
      own: 0,
      ownCount: 0,
      other: 0,
      otherCount: 0,
    };
    if (own === 1) [row.own, row.ownCount] = [seconds, count];
    else [row.other, row.otherCount] = [seconds, count];
    rows.set(id, row);
  }
  return [...rows.values()].sort((a, b) => b.own - a.own || b.other - a.other);
}

function listDevices(totals: Totals): DeviceRow[] {
  const groups = Map.groupBy(totals.napi, ([key]) => key.slice(2));
  return [...groups]
    .map(([device, entries]) => {
      const sum = (pick: (total: { packets: number; polls: number; full: number }) => number) =>
        entries.reduce((all, [, total]) => all + pick(total), 0);
      return {
        device: device === "" ? null : device,
        packets: sum(({ packets }) => packets),
        own: totals.napi.get(`1,${device}`)?.packets ?? 0,
        polls: sum(({ polls }) => polls),
        full: sum(({ full }) => full),
      };
    })
    .sort((a, b) => b.packets - a.packets);
}

function listFunctions({ totals, counts, labels, threads }: WorkInput): FunctionRow[] {
  const byPid = new Map(threads.map((thread) => [thread.pid, thread]));
  interface Draft {
    seconds: number;
    count: number;
    samples: number;
    readonly threads: Map<ThreadRow, number>;
  }
  const rows = new Map<string, Draft>();
  const rowOf = (key: string): { row: Draft; thread: ThreadRow | undefined } => {
    const [tid = 0, work = 0] = key.split(",").map(Number);
    const name = labels.work(work);
    const row = rows.get(name) ?? { seconds: 0, count: 0, samples: 0, threads: new Map() };
    rows.set(name, row);
    return { row, thread: byPid.get(tid) };
  };
  for (const [key, { seconds, count }] of totals.work) {
    const { row, thread } = rowOf(key);
    row.seconds += seconds;
    row.count += count;
    if (thread !== undefined) row.threads.set(thread, (row.threads.get(thread) ?? 0) + seconds);
  }
  for (const [key, samples] of counts.work) {
    const { row, thread } = rowOf(key);
    row.samples += samples;
    if (thread !== undefined && !row.threads.has(thread)) row.threads.set(thread, 0);
  }
  return [...rows]
    .map(([name, { threads: workers, ...row }]) => ({
      name,
      ...row,
      threads: [...workers].sort((a, b) => b[1] - a[1]).map(([thread]) => thread),
    }))
    .sort((a, b) => b.samples - a.samples || b.seconds - a.seconds);
}

function listCallers(counts: ReadonlyMap<number, number>, names: ReadonlyMap<number, string>): CallerRow[] {
  return [...counts]
    .map(([pid, count]) => ({ pid, comm: names.get(pid) ?? null, count }))
    .sort((a, b) => b.count - a.count);
}

function listCommits({ totals, names, before, after }: WorkInput): CommitRow[] {
  const disks = (after ?? before)?.disks ?? [];
  return [...totals.commits]
    .map(([dev, { count, seconds, blocks }]) => {
      const number = formatDeviceNumber(dev);
      const disk = disks.find((entry) => entry.number === number) ?? null;
      const callers = [...totals.fsyncs].flatMap(([key, calls]) => {
        const [device, pid] = key.split(",").map(Number);
        return device === dev && pid !== undefined ? [[pid, calls] as const] : [];
      });
      return { disk, number, count, seconds, blocks, fsyncs: listCallers(new Map(callers), names) };
    })
    .sort((a, b) => b.seconds - a.seconds);
}

function listReceivers(
  before: KernelThreadEvidence | null,
  after: KernelThreadEvidence | null,
): ReceiverRow[] {
  const key = ({ netns, device }: { netns: string | null; device: string }) => `${netns ?? ""}\0${device}`;
  const first = new Map((before?.received ?? []).map((entry) => [key(entry), entry.packets]));
  return (after?.received ?? [])
    .flatMap(({ netns, device, packets }) => {
      const start = first.get(key({ netns, device }));
      return start === undefined || packets <= start ? [] : [{ netns, device, packets: packets - start }];
    })
    .sort((a, b) => b.packets - a.packets);
}

function listGrowth(
  before: KernelThreadEvidence | null,
  after: KernelThreadEvidence | null,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after?.memory ?? {}).flatMap(([name, value]) => {
      const start = before?.memory[name];
      return start === undefined || value <= start ? [] : [[name, value - start] as const];
    }),
  );
}
