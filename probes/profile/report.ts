import { type CpuTimes } from "../../src/evidence/cpu.ts";
import type { EndInfo, Options, SessionInfo } from "../../src/probe/define.ts";
import { figures, makeTable, words } from "../../src/probe/columns.ts";
import type { Block } from "../../src/probe/report.ts";
import type { SampleBook } from "../../src/profile/samples/book.ts";
import { findHottestPath, type TopFrame, type WeighedStack } from "../../src/profile/samples/top.ts";
import { explainTruncation, type TruncationStats } from "../../src/symbols/frames.ts";
import { escapeText } from "../../src/text/escape.ts";
import { formatCount, formatSeconds, plural } from "../../src/text/format.ts";
import type { Counts } from "./counts.ts";
import { percent } from "./live.ts";
import { drawPath } from "./path.ts";
import { countUnnamedJit, type LostStacks } from "./stacks.ts";

export interface ReportInput {
  readonly session: SessionInfo;
  readonly options: Options;
  readonly book: SampleBook;
  readonly hz: number;
  readonly cpus: number;
  readonly end: EndInfo;
  readonly counts: Counts;
  readonly idle: number;
  readonly lost: number;
  readonly lostStacks: LostStacks;
  readonly top: readonly TopFrame[];
  /** Stacks with their process as root. */
  readonly drawn: Iterable<WeighedStack>;
  readonly truncated: readonly TruncationStats[];
  readonly cpuTimes: CpuTimes | null;
  readonly spark: readonly number[];
}

const MAX_FUNCTIONS = 15;
const MAX_PROCESSES = 10;
const MAX_SENTENCES = 3;
const MAX_OTHERS = 4;
/** Below this part of a program's samples, code without names is not worth a sentence. */
const LEAST_JIT = 0.1;
/** Below this part of all samples, those that are missing change no share that is shown by as much as it could vary by chance. */
const HARMLESS = 0.02;
/** The hypervisor took more than this: what a sample says of a second is no longer so. */
const LEAST_STEAL = 0.05;
/** Fewer samples than this part of what was to be expected: the kernel left some out. */
const LEAST_COVERAGE = 0.9;

export function buildReport(input: ReportInput): Block[] {
  const { counts, end } = input;
  const total = counts.user + counts.kernel + counts.kernelThreads;
  return [
    { kind: "text", text: headerLine(input), tone: "dim" },
    headline(input, total),
    ...kindsLine(input, total),
    processTable(input, total),
    functionTable(input.top, total),
    ...drawPath(findHottestPath(input.drawn), total),
    ...sentences(input, total),
    lossLine(input, total, end),
  ];
}

function headerLine({ session, end, hz, cpus, options }: ReportInput): string {
  const parts = [
    session.host,
    `Linux ${session.kernel}`,
    formatSeconds(end.seconds),
    `${cpus} CPUs × ${hz} Hz`,
  ];
  if (options.pid !== undefined) parts.push(`pid ${options.pid}`);
  if (options.comm !== undefined) parts.push(`name ${options.comm}`);
  if (options.cgroup !== undefined) parts.push(`cgroup ${options.cgroup}`);
  return parts.join(" · ");
}

function headline({ idle, hz, end, cpus, spark, options }: ReportInput, total: number): Block {
  if (total === 0) {
    const time = end.seconds === 0 ? "before all probes were attached" : `in ${formatSeconds(end.seconds)}`;
    const what = isFiltered(options) ? "nothing that matches the filters was running" : "all CPUs were idle";
    return { kind: "headline", text: `No samples ${time}: ${what}`, tone: "warn" };
  }
  const seconds = total / hz;
  const busy =
    isFiltered(options) || total + idle === 0
      ? `${(seconds / Math.max(end.seconds, 1 / hz)).toFixed(2)} CPUs busy with it`
      : `${percent(total / (total + idle))} of ${cpus} CPUs busy`;
  return {
    kind: "headline",
    text: `${plural(total, "sample")}, ${seconds.toFixed(2)} CPU seconds, ${busy}`,
    spark,
  };
}

function kindsLine({ counts, cpuTimes }: ReportInput, total: number): Block[] {
  if (total === 0) return [];
  const parts = [
    `user ${percent(counts.user / total)}`,
    `kernel ${percent(counts.kernel / total)}`,
    `kernel threads ${percent(counts.kernelThreads / total)}`,
  ];
  const steal =
    cpuTimes !== null && cpuTimes.steal > LEAST_STEAL
      ? ` · steal ${percent(cpuTimes.steal)} of all time`
      : "";
  return [{ kind: "text", text: `${parts.join(", ")}${steal}` }];
}

function isFiltered(options: Options): boolean {
  return ["pid", "comm", "cgroup", "user", "kernel"].some((name) => options[name] !== undefined);
}

function processTable({ counts, hz, end }: ReportInput, total: number): Block {
  const rest = counts.processes.slice(MAX_PROCESSES);
  const share = (samples: number) => (end.seconds > 0 ? percent(samples / hz / end.seconds) : "–");
  const restShare = percent(rest.reduce((sum, row) => sum + row.samples, 0) / total);
  return makeTable(
    counts.processes.slice(0, MAX_PROCESSES),
    [
      figures("CPU", ({ samples }) => share(samples)),
      figures("USER", ({ user }) => share(user)),
      figures("KERNEL", ({ kernel }) => share(kernel)),
      figures("SAMPLES", ({ samples }) => formatCount(samples)),
      figures("PID", ({ pid }) => String(pid)),
      words("COMMAND", ({ label }) => label, { shrink: 1 }),
    ],
    {
      title: "Processes, in percent of one CPU",
      ...(rest.length > 0
        ? {
            more: `… and ${plural(rest.length, "more process", "more processes")} with ${restShare} of the samples: --format json has them all`,
          }
        : {}),
    },
  );
}

function functionTable(top: readonly TopFrame[], total: number): Block {
  return makeTable(
    top.slice(0, MAX_FUNCTIONS).filter(({ self }) => self > 0),
    [
      figures("SELF", ({ self }) => percent(self / total)),
      figures("TOTAL", (row) => percent(row.total / total)),
      words("FUNCTION", ({ frame }) => frame.name, { shrink: 2 }),
      words("WHERE", ({ frame }) => frame.file ?? "", { shrink: 1 }),
    ],
    { title: "Functions: alone, and with what they call" },
  );
}

/** What keeps the graph from saying more, and how to change it. */
function sentences(input: ReportInput, total: number): Block[] {
  const { book, counts, truncated, lostStacks, hz, cpus, end, idle, options } = input;
  const lines = explainTruncations(truncated);
  for (const { label, samples } of countUnnamedJit(book, counts).slice(0, MAX_SENTENCES)) {
    if (samples < LEAST_JIT * total) continue;
    lines.push(
      `${percent(samples / total)} of the samples are in code that a compiler in \`${escapeText(label)}\` made at run time and has no names for: start Node with --perf-basic-prof, Java with an agent that writes /tmp/perf-PID.map`,
    );
  }
  if (lostStacks.kernel + lostStacks.user > 0) {
    lines.push(
      `${plural(lostStacks.kernel + lostStacks.user, "sample")} without the whole stack: bpftrace's table had no place for it (bpftrace 0.21 and later have no such table)`,
    );
  }
  const expected = hz * cpus * end.seconds;
  if (!isFiltered(options) && end.seconds > 1 && total + idle < LEAST_COVERAGE * expected) {
    lines.push(
      `${formatCount(total + idle)} of ${formatCount(Math.round(expected))} samples were taken: the kernel or the hypervisor left the others out, and times are too short by as much`,
    );
  }
  return lines.map((text) => ({ kind: "text", text: `${text}.`, tone: "plain" }));
}

/** One sentence for the program with most stacks; the others whose stacks end early are named after it. */
function explainTruncations(truncated: readonly TruncationStats[]): string[] {
  const explained = truncated.flatMap((stats) => {
    // In a text block a line break of a name's own would be one.
    const text = explainTruncation({ ...stats, comm: escapeText(stats.comm) });
    return text === null ? [] : [{ text, stats }];
  });
  const [first, ...others] = explained;
  if (first === undefined) return [];
  const named = others
    .slice(0, MAX_OTHERS)
    .map(
      ({ stats }) => `\`${escapeText(stats.comm)}\` (${Math.round((100 * stats.afterTwo) / stats.stacks)} %)`,
    );
  const more = others.length > MAX_OTHERS ? ` and ${others.length - MAX_OTHERS} more` : "";
  return [first.text + (named.length > 0 ? `. The same goes for ${named.join(", ")}${more}` : "")];
}

function lossLine({ lost }: ReportInput, total: number, end: EndInfo): Block {
  return lost === 0
    ? {
        kind: "text",
        text: `Nothing lost: all samples of ${formatSeconds(end.seconds)} are here.`,
        tone: "dim",
      }
    : {
        kind: "text",
        text: `${plural(lost, "sample")} did not arrive or ${lost === 1 ? "was" : "were"} skipped by the kernel (${formatCount(total)} arrived): ${
          lost < HARMLESS * (total + lost) ? "too few to change the picture" : "a lower --hz helps"
        }.`,
        tone: "warn",
      };
}
