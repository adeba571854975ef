import { explainStatus } from "./exit-status.ts";
import type { Failure, FailureContext, FinishedRun } from "./failure.ts";
import { FAILURE_RULES } from "./failure-rules.ts";
import { classifyStderr } from "./stderr-lines.ts";
import type { BpftraceVersion } from "./version.ts";

export { classifyStderr } from "./stderr-lines.ts";
export type { Failure, FinishedRun } from "./failure.ts";

const LONGEST = 300;

/**
 * Says why a bpftrace run failed, from its stderr (errors never come as records, in any version) and its exit status:
 * 1 and 2 are a program that was not accepted, 255 one that could not be loaded or attached, 134 a crash.
 */
export function explainFailure(run: FinishedRun, version: BpftraceVersion | null): Failure {
  const { errors, warnings } = classifyStderr(run.stderr);
  // Warnings last: "oom_kill_process is not traceable" comes beside the error that says so better.
  const lines = [...errors, ...warnings];
  const failure =
    matchRule(lines, run.stderr, version) ??
    explainStatus(run, findLastWords(errors)) ??
    describeOther(run, lines);
  return {
    code: failure.code,
    message: toOneLine(failure.message),
    why: failure.why === null ? null : toOneLine(failure.why),
    hint: failure.hint === null ? null : toOneLine(failure.hint),
  };
}

function matchRule(
  lines: readonly string[],
  stderr: readonly string[],
  version: BpftraceVersion | null,
): Failure | null {
  for (const rule of FAILURE_RULES) {
    for (const line of lines) {
      const found = rule.pattern.exec(line);
      if (found === null) continue;
      const context: FailureContext = { version, lines, programLine: stderr[stderr.indexOf(line) + 1] ?? "" };
      const failure = rule.explain(found, context);
      if (failure !== null) return { code: rule.code, ...failure };
    }
  }
  return null;
}

/** `what():  Could not clear map` of an uncaught C++ exception, or `FATAL: ...`. */
function findLastWords(errors: readonly string[]): string | null {
  for (const line of errors) {
    const words = /^\s*what\(\):\s*(.*)|^(?:FATAL|BUG): (.*)/.exec(line);
    if (words !== null) return words[1] ?? words[2] ?? null;
  }
  return null;
}

function describeOther(run: FinishedRun, lines: readonly string[]): Failure {
  const said = lines[0]?.replace(/^(?:ERROR|WARNING): /, "");
  return {
    code: "other",
    message: `bpftrace failed${run.exitCode === null ? "" : ` with status ${run.exitCode}`}`,
    why: said ?? "it gave no reason",
    hint: null,
  };
}

/** stderr repeats names of the traced system and of the program: no control characters, no endless lines. */
function toOneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this removes
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 1)}…` : line;
}
