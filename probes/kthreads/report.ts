import type { Finding } from "../../src/diagnose/finding.ts";
import type { EndInfo, Options, SessionInfo } from "../../src/probe/define.ts";
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
    {
      kind: "table",
      title: "Threads, in percent of one CPU",
      columns: [
        { header: "CPU", align: "right" },
        { header: "SAMPLES", align: "right" },
        { header: "SLEPT", align: "right" },
        { header: "PUSHED", align: "right" },
        { header: "PID", align: "right" },
        { header: "THREAD" },
        { header: "WHAT IT IS FOR", overflow: true },
      ],
      rows: busy
        .slice(0, MAX_THREADS)
        .map((thread) => [
          `${thread.cpuPercent.toFixed(1)} %`,
          formatCount(thread.samples),
          formatOptional(thread.voluntarySwitches),
          formatOptional(thread.involuntarySwitches),
          String(thread.pid),
          thread.name,
          roleOf(thread) ?? "not in the catalogue",
        ]),
      more: `SLEPT, PUSHED: how often it gave its CPU up, and how often it was taken from it. ${plural(quiet, "other thread")} did next to nothing: --format json has them all.`,
    },
  ];
}

const formatOptional = (value: number | null) => (value === null ? "–" : formatCount(value));

function vectorTable({ work }: ReportInput): Block[] {
  const rows = work.vectors.filter((row) => row.own + row.other > 0).slice(0, MAX_ROWS);
  if (rows.length === 0) return [];
  return [
    {
      kind: "table",
      title: "Softirqs: in ksoftirqd, and outside (after an interrupt, or in the sender)",
      columns: [
        { header: "KSOFTIRQD", align: "right" },
        { header: "RUNS", align: "right" },
        { header: "OUTSIDE", align: "right" },
        { header: "RUNS", align: "right" },
        { header: "CPU", align: "right" },
        { header: "VECTOR" },
      ],
      rows: rows.map((row) => [
        formatTime(row.own),
        formatCount(row.ownCount),
        formatTime(row.other),
        formatCount(row.otherCount),
        String(row.cpu),
        row.vector,
      ]),
    },
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
    {
      kind: "table",
      title: "Packets polled from devices",
      columns: [
        { header: "PACKETS", align: "right" },
        { header: "/S", align: "right" },
        { header: "BY KSOFTIRQD", align: "right" },
        { header: "POLLS", align: "right" },
        { header: "BUDGET USED UP", align: "right" },
        { header: "DEVICE", shrink: 1 },
      ],
      rows: rows.map((row) => [
        formatCount(row.packets),
        end.seconds > 0 ? formatRate(row.packets / end.seconds) : "–",
        formatCount(row.own),
        formatCount(row.polls),
        formatCount(row.full),
        row.device ?? "backlog (veth, lo, RPS)",
      ]),
    },
  ];
}

function functionTable({ work, hz, end }: ReportInput): Block[] {
  const rows = work.functions.slice(0, MAX_ROWS);
  if (rows.length === 0) return [];
  const rest = work.functions.length - rows.length;
  return [
    {
      kind: "table",
      title: "Jobs of the workers",
      columns: [
        { header: "CPU", align: "right" },
        { header: "TIME", align: "right" },
        { header: "RUNS", align: "right" },
        { header: "FUNCTION", shrink: 1 },
        { header: "WORKERS", shrink: 2 },
      ],
      rows: rows.map((row) => [
        end.seconds > 0 ? `${((100 * row.samples) / hz / end.seconds).toFixed(1)} %` : "–",
        formatTime(row.seconds),
        formatCount(row.count),
        row.name,
        row.threads.length === 0
          ? "–"
          : `${row.threads[0]?.name ?? ""}${row.threads.length > 1 ? ` and ${row.threads.length - 1} more` : ""}`,
      ]),
      more: `TIME runs from start to end, sleeping included; CPU is what the samples saw.${rest > 0 ? ` ${plural(rest, "more function")}: --format json has them all.` : ""}`,
    },
  ];
}

function commitTable({ work, end }: ReportInput): Block[] {
  if (work.commits.length === 0) return [];
  const callers = work.commits
    .flatMap((row) => row.fsyncs)
    .slice(0, 4)
    .map(({ pid, comm, count }) => `${comm ?? "?"} (pid ${pid}) ${formatCount(count)}`)
    .join(", ");
  return [
    {
      kind: "table",
      title: "Journal commits (jbd2)",
      columns: [
        { header: "COMMITS", align: "right" },
        { header: "/S", align: "right" },
        { header: "TIME", align: "right" },
        { header: "BLOCKS", align: "right" },
        { header: "DISK" },
        { header: "MOUNTED AT", shrink: 1 },
      ],
      rows: work.commits
        .slice(0, MAX_ROWS)
        .map((row) => [
          formatCount(row.count),
          end.seconds > 0 ? formatRate(row.count / end.seconds) : "–",
          formatTime(row.seconds),
          formatCount(row.blocks),
          row.disk?.device ?? row.number,
          row.disk === null ? "–" : `${row.disk.path} (${row.disk.type})`,
        ]),
      ...(callers === "" ? {} : { more: `fsync was called by ${callers}.` }),
    },
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
