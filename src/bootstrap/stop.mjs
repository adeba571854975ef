// The two ways in which the set-up ends without trace having run.

import { say } from "./notice.mjs";
import { dieOf } from "./signals.mjs";

/** The exit code for "this host cannot do it", as trace has it. */
const CANNOT = 3;

/** A step that failed. Two lines: what failed, and what to do. */
export class SetupFailed extends Error {
  /**
   * @param {string} message
   * @param {string} hint
   */
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

/** A signal came during a step. Thrown, so that locks are released on the way out. */
export class Interrupted extends Error {
  /** @param {NodeJS.Signals} signal */
  constructor(signal) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }
}

/**
 * Runs an entry point, and turns these two into a signal or an exit code.
 * @param {() => Promise<void>} main
 */
export function runMain(main) {
  main().catch((error) => {
    if (error instanceof Interrupted) return dieOf(error.signal);
    if (!(error instanceof SetupFailed)) throw error;
    say(error.message);
    say(error.hint);
    process.exitCode = CANNOT;
    return undefined;
  });
}
