/** bpftrace's stderr, sorted. Lines are as printed; blank ones are left out. */
export interface StderrSummary {
  /** What every healthy run may print, and the program text repeated under a message. */
  noise: string[];
  warnings: string[];
  /** Everything that may explain a failure. */
  errors: string[];
  /** All probes are attached (0.14 to 0.22 say it here when asked; see `Message` for later ones). */
  ready: boolean;
  /** Events lost, as far as stderr says: the total of 0.24 and later, else the sum of the single reports. */
  lost: number;
}

const READY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";

const ADDITIONAL = /^Additional Info - helper: /;

const NOISE: readonly RegExp[] = [
  // Without CAP_SYS_RESOURCE, all versions; the program loads all the same where memory is charged to the cgroup (5.11).
  /couldn't set RLIMIT_MEMLOCK for bpftrace/,
  /^WARNING: Could not read functions from /,
  /^Attach(?:ing|ed) \d+ probes?/,
  // LLVM, for some pointer casts.
  /^WARNING: Addrspace is not set$/,
  // Both spellings of a variable are set, because each is silently ignored by half of the versions.
  /^WARNING: BPFTRACE_\w+ is deprecated/,
  // 0.11 at the end of a good run, on kernels without uprobes.
  /^open\(\S+\/uprobe_events\): /,
  /^Error detaching probe: (?:BEGIN|END)$/,
  // Once per failed update; the records of -f json say it better.
  /WARNING: Map full; can't update element/,
  ADDITIONAL,
  // Under the program line that a message repeats.
  /^\s*~+$/,
];

const LOST = /^Lost (\d{1,15}) events?$/;
const LOST_TOTAL = /Total lost event count: (\d{1,15})/;
/** `stdin:1:20-21: ERROR: ...` (line, columns); from 0.24 on also `stdin:3-4: ERROR: ...` (lines). */
const LOCATED = /^.{0,200}?:(\d{1,6})(:\d{1,6})?(?:-(\d{1,6}))?: (?:ERROR|WARNING|FATAL): /;
const WARNING = /\bWARNING: |^Warning: |^HINT: /;
const ERROR =
  /\b(?:ERROR|FATAL|BUG): |error|fail|\bterminate called|^\s*what\(\):|only supports running|option|: (?:No such|Invalid argument|Operation not|Permission denied|Cannot allocate|Argument list)/i;

/** Sorts bpftrace's stderr. What nobody knows is a warning: it is shown, but does not make a run fail. */
export function classifyStderr(lines: readonly string[]): StderrSummary {
  const summary: StderrSummary = { noise: [], warnings: [], errors: [], ready: false, lost: 0 };
  let total: number | null = null;
  let programLines = 0;
  let usage = false;
  for (const line of lines) {
    if (line.trim() === "") continue;
    const located = LOCATED.exec(line);
    if (located !== null) {
      programLines = countProgramLines(located);
    } else if (programLines > 0 && !ADDITIONAL.test(line)) {
      // The program, repeated under a message: it may hold any word.
      programLines -= 1;
      summary.noise.push(line);
      continue;
    }
    // The help text that follows an option this version does not know.
    usage ||= line === "USAGE:";
    summary[usage ? "noise" : classifyLine(line)].push(line);
    summary.ready ||= line.trim() === READY;
    summary.lost += Number(LOST.exec(line)?.[1] ?? 0);
    const said = LOST_TOTAL.exec(line)?.[1];
    if (said !== undefined) total = Number(said);
  }
  if (total !== null) summary.lost = total;
  return summary;
}

function classifyLine(line: string): "noise" | "warnings" | "errors" {
  if (line.trim() === READY || LOST.test(line) || LOST_TOTAL.test(line)) return "noise";
  if (NOISE.some((pattern) => pattern.test(line))) return "noise";
  if (WARNING.test(line)) return "warnings";
  return ERROR.test(line) ? "errors" : "warnings";
}

/** Lines of the program that follow a located message. */
function countProgramLines(located: RegExpExecArray): number {
  const [, first, column, last] = located;
  if (column !== undefined || last === undefined) return 1;
  return Math.max(1, Number(last) - Number(first) + 1);
}
