import type { Finding } from "../../src/diagnose/finding.ts";
import type { EndInfo, Options, SessionInfo } from "../../src/probe/define.ts";
import { figures, makeTable, words } from "../../src/probe/columns.ts";
import type { Block } from "../../src/probe/report.ts";
import { formatCount, formatRate, formatSeconds, plural } from "../../src/text/format.ts";
import { roleOf, type ThreadRow } from "./threads.ts";
import type { Work } from "./work.ts";

export interface ReportInput {
  readonly session: SessionInfo;
  readonly options: Options;
  readonly end: EndInfo;
  readonly hz: number;
  readonly cpus: number;
  readonly threads: readonly ThreadRow[];
  readonly work: Work;
  readonly findings: readonly Finding[];
  readonly samples: number;
  readonly lost: number;
  /** Samples whose stack did not come. */
  readonly lostStacks: number;
  readonly spark: readonly number[];
}

const MAX_THREADS = 15;
const MAX_ROWS = 8;
/** Threads below this part of a percent of a CPU have nothing to tell. */
const LEAST_PERCENT = 0.05;

export function buildReport(input: ReportInput): Block[] {
  return [
    { kind: "text", text: headerLine(input), tone: "dim" },
    headline(input),
    { kind: "findings", findings: input.findings },
    ...threadTables(input),
    ...vectorTable(input),
    ...deviceTable(input),
    ...functionTable(input),
    ...commitTable(input),
    ...kswapdLine(input),
    lossLine(input),
  ];
}

function headerLine({ session, options, end, cpus, hz, threads }: ReportInput): string {
  return [
    session.host,
    `Linux ${session.kernel}`,
    formatSeconds(end.seconds),
    `${cpus} CPUs × ${hz} Hz`,
    plural(threads.length, "kernel thread"),
    ...(options.pid === undefined ? [] : [`pid ${options.pid}`]),
    ...(options.comm === undefined ? [] : [`name ${options.comm}`]),
  ].join(" · ");
}

function headline({ threads, cpus, spark, end }: ReportInput): Block {
  const percent = threads.reduce((sum, thread) => sum + thread.cpuPercent, 0);
  if (end.seconds === 0)
    return { kind: "headline", text: "Ended before all probes were attached", tone: "warn" };
  const busy = threads.filter((thread) => thread.cpuPercent >= LEAST_PERCENT);
  const top = busy.slice(0, 3).map((thread) => `${thread.name} ${thread.cpuPercent.toFixed(1)} %`);
  const part = cpus > 0 ? ` (${(percent / cpus).toFixed(1)} % of ${cpus})` : "";
  return {
    kind: "headline",
    text: `Kernel threads took ${(percent / 100).toFixed(2)} CPUs${part}${top.length > 0 ? `: ${top.join(", ")}` : ""}`,
    spark,
    tone: "strong",
  };
}

function threadTables({ threads }: ReportInput): Block[] {
  const busy = threads.filter((thread) => thread.cpuPercent >= LEAST_PERCENT || thread.samples > 0);
  const quiet = threads.length - Math.min(busy.length, MAX_THREADS);
  if (busy.length === 0)
    return [
      { kind: "text", text: `All ${plural(threads.length, "kernel thread")} were idle.`, tone: "good" },
    ];
  return [
    makeTable(
      busy.slice(0, MAX_THREADS),
      [
        figures("CPU", ({ cpuPercent }) => `${cpuPercent.toFixed(1)} %`),
        figures("SAMPLES", ({ samples }) => formatCount(samples)),
        figures("SLEPT", ({ voluntarySwitches }) => formatOptional(voluntarySwitches)),
        figures("PUSHED", ({ involuntarySwitches }) => formatOptional(involuntarySwitches)),
        figures("PID", ({ pid }) => String(pid)),
        words("THREAD", ({ name }) => name),
        words("WHAT IT IS FOR", (thread) => roleOf(thread) ?? "not in the catalogue", { overflow: true }),
      ],
      {
        title: "Threads, in percent of one CPU",
        more: `SLEPT, PUSHED: how often it gave its CPU up, and how often it was taken from it. ${plural(quiet, "other thread")} did next to nothing: --format json has them all.`,
      },
    ),
  ];
}

const formatOptional = (value: number | null) => (value === null ? "–" : formatCount(value));

function vectorTable({ work }: ReportInput): Block[] {
  const rows = work.vectors.filter((row) => row.own + row.other > 0).slice(0, MAX_ROWS);
  if (rows.length === 0) return [];
  return [
    makeTable(
      rows,
      [
        figures("KSOFTIRQD", ({ own }) => formatTime(own)),
        figures("RUNS", ({ ownCount }) => formatCount(ownCount)),
        figures("OUTSIDE", ({ other }) => formatTime(other)),
        figures("RUNS", ({ otherCount }) => formatCount(otherCount)),
        figures("CPU", ({ cpu }) => String(cpu)),
        words("VECTOR", ({ vector }) => vector),
      ],
      { title: "Softirqs: in ksoftirqd, and outside (after an interrupt, or in the sender)" },
    ),
  ];
}

/** 0.0123 → "12.3 ms". */
function formatTime(seconds: number): string {
  if (seconds === 0) return "–";
  if (seconds < 0.001) return `${(1e6 * seconds).toFixed(0)} µs`;
  return seconds < 1 ? `${(1000 * seconds).toFixed(1)} ms` : `${seconds.toFixed(2)} s`;
}

function deviceTable({ work, end }: ReportInput): Block[] {
  const rows = work.devices.filter((row) => row.packets > 0).slice(0, MAX_ROWS);
  if (rows.length === 0) return [];
  return [
    makeTable(
      rows,
      [
        figures("PACKETS", ({ packets }) => formatCount(packets)),
        figures("/S", ({ packets }) => (end.seconds > 0 ? formatRate(packets / end.seconds) : "–")),
        figures("BY KSOFTIRQD", ({ own }) => formatCount(own)),
        figures("POLLS", ({ polls }) => formatCount(polls)),
        figures("BUDGET USED UP", ({ full }) => formatCount(full)),
        words("DEVICE", ({ device }) => device ?? "backlog (veth, lo, RPS)", { shrink: 1 }),
      ],
      { title: "Packets polled from devices" },
    ),
  ];
}

function functionTable({ work, hz, end }: ReportInput): Block[] {
  const rows = work.functions.slice(0, MAX_ROWS);
  if (rows.length === 0) return [];
  const rest = work.functions.length - rows.length;
  const percentOf = (samples: number) =>
    end.seconds > 0 ? `${((100 * samples) / hz / end.seconds).toFixed(1)} %` : "–";
  return [
    makeTable(
      rows,
      [
        figures("CPU", ({ samples }) => percentOf(samples)),
        figures("TIME", ({ seconds }) => formatTime(seconds)),
        figures("RUNS", ({ count }) => formatCount(count)),
        words("FUNCTION", ({ name }) => name, { shrink: 1 }),
        words("WORKERS", ({ threads }) => nameWorkers(threads), { shrink: 2 }),
      ],
      {
        title: "Jobs of the workers",
        more: `TIME runs from start to end, sleeping included; CPU is what the samples saw.${rest > 0 ? ` ${plural(rest, "more function")}: --format json has them all.` : ""}`,
      },
    ),
  ];
}

function nameWorkers([first, ...others]: readonly ThreadRow[]): string {
  if (first === undefined) return "–";
  return others.length === 0 ? first.name : `${first.name} and ${others.length} more`;
}

function commitTable({ work, end }: ReportInput): Block[] {
  if (work.commits.length === 0) return [];
  const callers = work.commits
    .flatMap((row) => row.fsyncs)
    .slice(0, 4)
    .map(({ pid, comm, count }) => `${comm ?? "?"} (pid ${pid}) ${formatCount(count)}`)
    .join(", ");
  return [
    makeTable(
      work.commits.slice(0, MAX_ROWS),
      [
        figures("COMMITS", ({ count }) => formatCount(count)),
        figures("/S", ({ count }) => (end.seconds > 0 ? formatRate(count / end.seconds) : "–")),
        figures("TIME", ({ seconds }) => formatTime(seconds)),
        figures("BLOCKS", ({ blocks }) => formatCount(blocks)),
        words("DISK", ({ disk, number }) => disk?.device ?? number),
        words("MOUNTED AT", ({ disk }) => (disk === null ? "–" : `${disk.path} (${disk.type})`), {
          shrink: 1,
        }),
      ],
      {
        title: "Journal commits (jbd2)",
        ...(callers === "" ? {} : { more: `fsync was called by ${callers}.` }),
      },
    ),
  ];
}

function kswapdLine({ work }: ReportInput): Block[] {
  if (work.kswapdWakes === 0) return [];
  const freed = work.memory["pgsteal_kswapd"] ?? 0;
  return [
    {
      kind: "text",
      text: `kswapd was woken ${plural(work.kswapdWakes, "time")} and freed ${formatCount(freed)} pages.`,
    },
  ];
}

function lossLine({ lost, lostStacks, samples }: ReportInput): Block {
  const stacks =
    lostStacks === 0
      ? ""
      : ` ${plural(lostStacks, "sample")} came without a stack: bpftrace's table had no place for it.`;
  return lost === 0
    ? {
        kind: "text",
        text: `Nothing lost: ${plural(samples, "sample")} of kernel threads.${stacks}`,
        tone: "dim",
      }
    : {
        kind: "text",
        text: `${plural(lost, "event")} did not arrive or ${lost === 1 ? "was" : "were"} skipped by the kernel: counts are too low by as much. ${plural(samples, "sample")} arrived.${stacks}`,
        tone: "warn",
      };
}
