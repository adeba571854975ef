import type { Finding } from "../../../src/diagnose/finding.ts";
import { formatCount } from "../../../src/text/format.ts";
import type { ThreadRow } from "../threads.ts";
import type { CallerRow, Work } from "../work.ts";

export interface FindingInput {
  readonly threads: readonly ThreadRow[];
  readonly work: Work;
  readonly cpus: number;
  readonly hz: number;
  /** Length of the run. */
  readonly seconds: number;
}

/** Looks for one kind of cause. Threads that a finding explains are put into `told`. */
export type Find = (input: FindingInput, told: Set<ThreadRow>) => Finding[];

export function makeFinding(finding: Omit<Finding, "netns">): Finding {
  return { ...finding, netns: null };
}

/** The first three, most often first; empty for none. */
export function describeCallers(callers: readonly CallerRow[]): string {
  return callers
    .slice(0, 3)
    .map(({ pid, comm, count }) => `${comm ?? "?"} (pid ${pid}, ${formatCount(count)})`)
    .join(", ");
}

/** What to look at for a thread, with its own number filled in; not this very command. */
export function checksOf(thread: ThreadRow): string[] {
  const checks = thread.described?.check ?? [`cat /proc/${thread.pid}/stack`];
  return checks
    .map((command) => command.replaceAll("{pid}", String(thread.pid)))
    .filter((command) => !command.startsWith("trace kthreads"));
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
