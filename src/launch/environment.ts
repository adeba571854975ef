import { atLeast, type BpftraceVersion } from "../wire/version.ts";

export interface ProgramNeeds {
  /** Most keys of a map. */
  readonly mapKeys: number;
}

/**
 * Environment and arguments that make each bpftrace behave alike. Names moved in 0.20 (STRLEN → MAX_STRLEN …): the old
 * ones warn in 0.20–0.23 and are ignored later, so each version gets its own. The event buffer counts pages per
 * CPU up to 0.17 and for all CPUs together in 0.18–0.24, where 64 (256 KiB) is far too few; later versions size it themselves.
 */
export function bpftraceEnvironment(
  version: BpftraceVersion | null,
  needs: ProgramNeeds,
): Record<string, string> {
  const renamed = atLeast(version, 0, 20);
  const environment: Record<string, string> = {
    [renamed ? "BPFTRACE_MAX_MAP_KEYS" : "BPFTRACE_MAP_KEYS_MAX"]: String(needs.mapKeys),
    BPFTRACE_COLOR: "never",
  };
  if (!atLeast(version, 0, 18)) environment["BPFTRACE_PERF_RB_PAGES"] = "256";
  else if (!atLeast(version, 0, 25)) environment["BPFTRACE_PERF_RB_PAGES"] = "4096";
  // User stacks are resolved by ourselves; up to 0.19 this spares bpftrace the attempt.
  if (!renamed) environment["BPFTRACE_NO_USER_SYMBOLS"] = "1";
  return environment;
}

/**
 * How the program is handed over, and what silences the version's chatter. On standard input it stays out of `ps`; 0.11 reads
 * nothing there (seen with 0.11.3: "unexpected end of file") and gets it as an argument.
 */
export function bpftraceCommand(
  version: BpftraceVersion | null,
  script: string,
): { args: string[]; input: string } {
  if (version !== null && !atLeast(version, 0, 12)) return { args: ["-f", "json", "-e", script], input: "" };
  const quiet = atLeast(version, 0, 17) ? ["--no-warnings"] : [];
  return { args: ["-f", "json", ...quiet, "-"], input: script };
}
