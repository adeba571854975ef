import type { Failure, FinishedRun } from "./failure.ts";

/** How a shell reports a process that a signal ended. */
const SHELL_SIGNAL = 128;
const CRASHES = new Map<number, string>([
  [4, "SIGILL"],
  [6, "SIGABRT"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [11, "SIGSEGV"],
]);
const KILLS = new Map<number, string>([
  [1, "SIGHUP"],
  [2, "SIGINT"],
  [9, "SIGKILL"],
  [13, "SIGPIPE"],
  [15, "SIGTERM"],
]);

const REASONS: { readonly [signal: string]: string } = {
  SIGHUP: "its terminal or session was closed",
  SIGINT: "it was interrupted before it could print its results",
  SIGKILL: "something killed it: an operator, or the kernel when memory ran out",
  SIGPIPE: "the reader of its output went away",
};

/** What the exit status alone tells; null when it tells nothing. `detail` is what the last words of the process were. */
export function explainStatus(run: FinishedRun, detail: string | null): Failure | null {
  const number = run.exitCode === null ? 0 : run.exitCode - SHELL_SIGNAL;
  const crash = findSignal(CRASHES, run.signal, number);
  if (crash !== null) {
    return {
      code: "abort",
      message: `bpftrace crashed (${crash})`,
      why: detail ?? "this is a bug of bpftrace; it gave no reason",
      hint: "bpftrace --version   # a newer release may not have it",
    };
  }
  const kill = run.signal ?? findSignal(KILLS, null, number);
  if (kill === null) return null;
  return {
    code: "killed",
    message: `bpftrace was ended by ${kill}`,
    why: REASONS[kill] ?? null,
    hint: kill === "SIGKILL" ? "dmesg | grep -i 'out of memory' | tail" : null,
  };
}

function findSignal(
  signals: ReadonlyMap<number, string>,
  name: string | null,
  number: number,
): string | null {
  if (name !== null) return [...signals.values()].includes(name) ? name : null;
  return signals.get(number) ?? null;
}
