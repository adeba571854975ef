#!/usr/bin/env node
import { END_SIGNALS, type CommandIo } from "./commands/io.ts";
import { EXIT, TraceError } from "./error.ts";

/** `--color` may stand anywhere; it is taken out here so that no command has to know it. The last one counts. Throws TraceError. */
function takeColor(argv: readonly string[]): { when: string; rest: string[] } {
  const rest: string[] = [];
  let when = "auto";
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
    when = value;
  }
  return { when, rest };
}

/** `--color WHEN`, NO_COLOR (any value but empty), else whether stdout is a terminal. A real boolean: undefined lets the library guess. */
function wantsColor(when: string, stdout: { readonly isTTY?: boolean }): boolean {
  if (when !== "auto") return when === "always";
  if ((process.env["NO_COLOR"] ?? "") !== "") return false;
  return stdout.isTTY === true && process.env["TERM"] !== "dumb";
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
const createIo = (color: boolean): CommandIo => ({
  stdout: process.stdout,
  stderr: process.stderr,
  color,
  get width() {
    return process.stdout.columns ?? 80;
  },
  exit: (code) => {
    process.exitCode = code;
  },
  takeSignals() {
    for (const signal of END_SIGNALS) process.off(signal, remember);
    return isInterrupted;
  },
});
try {
  const { when, rest } = takeColor(argv);
  await main(rest, createIo(wantsColor(when, process.stdout)));
} catch (error) {
  const io = createIo(false);
  io.exit(reportError(error, argv, null, io));
}
