import type { Fact } from "../probe/define.ts";

/**
 * Everything that reaches a session, live or from a recording. `at`: seconds since the session's start. A session is a
 * pure function of its header and these, which is why a recording gives the same report.
 */
export type Input =
  | { readonly kind: "line"; readonly at: number; readonly line: Buffer }
  | { readonly kind: "stderr"; readonly at: number; readonly line: string }
  /** Everything is attached and the first snapshots are taken: what happens from here on is counted in full. */
  | { readonly kind: "ready"; readonly at: number }
  | { readonly kind: "tick"; readonly at: number }
  | { readonly kind: "fact"; readonly at: number; readonly fact: Fact }
  /** Somebody asked for the end: the time is up, or a signal. */
  | { readonly kind: "stop"; readonly at: number; readonly cause: "duration" | "signal" }
  | {
      readonly kind: "exit";
      readonly at: number;
      readonly code: number | null;
      readonly signal: string | null;
      readonly startError: string | null;
      readonly killed: boolean;
      /** Skipped runs as the kernel counted them, null where unknown. */
      readonly misses: number | null;
      /** Kinds of facts that were asked of this machine and not answered in time. */
      readonly unanswered?: readonly string[];
      /** The recording ended here although the session had not. */
      readonly cut?: boolean;
    };
