#!/usr/bin/env node
import { END_SIGNALS, type CommandIo } from "./commands/io.ts";
import { EXIT, TraceError } from "./error.ts";

/** `--color WHEN`, NO_COLOR (any value but empty), else whether stdout is a terminal. A real boolean: undefined lets the library guess. */
function wantsColor(argv: readonly string[], stdout: NodeJS.WriteStream): boolean {
  const index = argv.findIndex((word) => word === "--color" || word.startsWith("--color="));
  const when = index === -1 ? null : (argv[index]?.split("=")[1] ?? argv[index + 1] ?? null);
  if (when === "always") return true;
  if (when === "never" || (process.env["NO_COLOR"] ?? "") !== "") return false;
  // Node leaves isTTY undefined on a pipe, whatever its types say.
  return Boolean(stdout.isTTY) && process.env["TERM"] !== "dumb";
}

/** `--color` may stand anywhere; it is taken out here so that no command has to know it. Throws TraceError. */
function takeColor(argv: readonly string[]): string[] {
  const rest: string[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    if (word !== "--color" && !word.startsWith("--color=")) {
      rest.push(word);
      continue;
    }
    const value = word === "--color" ? argv[(index += 1)] : word.slice("--color=".length);
    if (value !== "auto" && value !== "always" && value !== "never") {
      throw new TraceError(EXIT.usage, `--color: ${JSON.stringify(value ?? "")} is not valid`, {
        why: "auto, always or never is expected",
        hint: "--color never",
      });
    }
  }
  return rest;
}

// Ctrl-C while the modules are still loading is a normal end too: remembered here, asked for by the commands that trace.
let isInterrupted = false;
const remember = () => {
  isInterrupted = true;
};
for (const signal of END_SIGNALS) process.on(signal, remember);
const { main, reportError } = await import("./commands/main.ts");

// A reader that went away is handled where stdout is written; here it must only not be a crash.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
const argv = process.argv.slice(2);
const io: CommandIo = {
  stdout: process.stdout,
  stderr: process.stderr,
  color: wantsColor(argv, process.stdout),
  width: process.stdout.columns ?? 80,
  exit: (code) => {
    process.exitCode = code;
  },
  takeSignals() {
    for (const signal of END_SIGNALS) process.off(signal, remember);
    return isInterrupted;
  },
};
try {
  await main(takeColor(argv), io);
} catch (error) {
  io.exit(reportError(error, argv, null, io));
}
