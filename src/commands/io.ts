import type { ExitCode } from "../error.ts";

/** What a command has of the world: its streams, how they look, and the exit code it asks for. */
export interface CommandIo {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Colours wanted on stdout. */
  readonly color: boolean;
  /** Columns of stdout; 80 where it is no terminal. */
  readonly width: number;
  /** Sets the exit code; the process ends when nothing is left to do. */
  exit(code: ExitCode): void;
}
