export type CheckStatus = "ok" | "limited" | "missing";

/** One row of `trace doctor`. Text may hold what the system says of itself: hostile data. */
export interface Check {
  /** Stable name for programs. */
  readonly id: string;
  readonly what: string;
  readonly status: CheckStatus;
  /** What was found and, where that is a limit, what is lost. */
  readonly detail: string;
  /** A command to paste, or null where none helps. */
  readonly repair: string | null;
  /** What `trace doctor --fix` would do about it. */
  readonly fixable: "mount-tracefs" | "mount-debugfs" | "install-bpftrace" | null;
  /** `trace drops` cannot run while this is missing. */
  readonly required: boolean;
}

/** A row as a check writes it: without a repair, and not required, unless it says so. */
export type CheckRow = Pick<Check, "id" | "what" | "status" | "detail"> & Partial<Check>;
