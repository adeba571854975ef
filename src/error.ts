/** Exit codes, fixed by the public contract (docs/records.md). */
export const EXIT = { ok: 0, failed: 1, usage: 2, host: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/**
 * An error with a known cause: at most three lines reach the user (what failed, why, what to do).
 * Anything else that is thrown is a bug and keeps its stack.
 */
export class TraceError extends Error {
  /** Process exit code this error leads to. */
  readonly code: ExitCode;
  /** Why it failed, one line, or null where `message` says it all. */
  readonly why: string | null;
  /** What to do: preferably a command to paste. */
  readonly hint: string | null;

  constructor(
    code: ExitCode,
    message: string,
    options: { why?: string | null; hint?: string | null; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "TraceError";
    this.code = code;
    this.why = options.why ?? null;
    this.hint = options.hint ?? null;
  }
}
