import type { BpftraceVersion } from "./version.ts";

export type FailureCode =
  | "no-tracepoint"
  | "no-kprobe"
  | "no-permission"
  | "no-btf"
  | "memlock"
  | "lockdown"
  | "syntax"
  | "unknown-field"
  | "unsupported-probe"
  | "abort"
  | "killed"
  | "verifier"
  | "headers"
  | "too-old"
  | "other";

/** Why bpftrace failed. Each text is one line without control characters. */
export interface Failure {
  code: FailureCode;
  /** What failed. */
  message: string;
  /** Why, in an operator's words; null when nobody said. */
  why: string | null;
  /** What to do, preferably a command to paste. */
  hint: string | null;
}

/** How a bpftrace ended. */
export interface FinishedRun {
  stderr: readonly string[];
  exitCode: number | null;
  signal: string | null;
}

/** What a rule may look at besides the line it matched. */
export interface FailureContext {
  readonly version: BpftraceVersion | null;
  /** The line after the matched one: the program line a located message is about, or "". */
  readonly programLine: string;
  /** Every line that is not noise. */
  readonly lines: readonly string[];
}

/** One known way to fail: a line of stderr and what it means. */
export interface FailureRule {
  readonly code: FailureCode;
  readonly pattern: RegExp;
  /** Null: not this one after all. */
  explain(found: RegExpExecArray, context: FailureContext): Omit<Failure, "code"> | null;
}
