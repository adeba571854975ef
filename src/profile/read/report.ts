export type InputFormat = "bpftrace" | "bpftrace-json" | "folded" | "perf-script" | "speedscope" | "pprof";

/** What a reader made of its input. Every line is either converted or counted here. */
export interface ReadReport {
  format: InputFormat;
  /** Samples or map entries that became part of a profile. */
  samples: number;
  /** Lines (entries, where the format has no lines) that belong to a profile but cannot be read. */
  damaged: number;
  /** What was left out on purpose, by reason: "histograms", "entries without a stack", … */
  readonly ignored: Map<string, number>;
  /** What the tool that wrote the file says it lost: no converter can bring it back. */
  readonly missing: Map<string, number>;
  /** The packed input ended too early or was damaged; what came before that was read. */
  isCut: boolean;
}

export function createReport(format: InputFormat): ReadReport {
  return { format, samples: 0, damaged: 0, ignored: new Map(), missing: new Map(), isCut: false };
}

export function countIgnored(report: ReadReport, reason: string, count = 1): void {
  if (count > 0) report.ignored.set(reason, (report.ignored.get(reason) ?? 0) + count);
}

export function countMissing(report: ReadReport, what: string, count = 1): void {
  if (count > 0) report.missing.set(what, (report.missing.get(what) ?? 0) + count);
}

/** A piece of input. `bytes` and `view` show the same memory; SLACK bytes behind `end` can be read. */
export interface Block {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly start: number;
  readonly end: number;
}

/** Turns blocks into samples of a store. Never throws on its input. */
export interface BlockReader {
  readonly report: ReadReport;
  /** Whether blocks must end where a line ends (the last one may not). */
  readonly lines: boolean;
  push(block: Block): void;
  /** The input ends: what is still open is damaged. */
  finish(): void;
}
