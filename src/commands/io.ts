import type { ExitCode } from "../error.ts";

/** What a command has of the world: its streams, how they look, and the exit code it asks for. */
export interface CommandIo {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Colours wanted on stdout. */
  readonly color: boolean;
  /** Columns of stdout as they are now (a terminal may be resized while a trace runs); 80 where it is no terminal. */
  readonly width: number;
  /** Sets the exit code; the process ends when nothing is left to do. */
  exit(code: ExitCode | 130): void;
  /** Hands the signals that end a command to the caller, who has its own handlers by now; true when one has come already. */
  takeSignals(): boolean;
}

/** Signals that are a normal end of a tracing command: the report follows. SIGHUP too: a lost terminal must not lose a recording. */
export const END_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
