import { InvalidArgumentError, Option, type Command } from "commander";
import { EXIT, TraceError } from "../error.ts";
import { withInterrupt } from "../files/interrupt.ts";
import { explainWriteError, readErrorCode } from "../files/write-error.ts";
import { formatWeight } from "../profile/flame/numbers.ts";
import { selectProfile } from "../profile/select.ts";
import { DEFAULT_NODE_BUDGET } from "../profile/store/plan.ts";
import type { ProfileStore } from "../profile/store/store.ts";
import { guessFormat, OUTPUT_FORMATS, type OutputFormat } from "../profile/write/formats.ts";
import { printProfiles, writeOutput, type Write } from "../profile/write/output.ts";
import type { Pruned } from "../profile/model.ts";
import { escapeText, quoteShell } from "../text/escape.ts";
import { formatBytes, formatCount, plural } from "../text/format.ts";
import type { CommandIo } from "./io.ts";
import {
  addSelectOption,
  createUnitOption,
  describePruned,
  readInputs,
  type InputOptions,
} from "./profile-input.ts";

interface ConvertOptions extends InputOptions {
  readonly output?: string;
  readonly to?: OutputFormat;
  readonly select?: string;
  readonly nodeBudget: number;
  readonly force?: boolean;
}

/** How many profiles the report names one by one. */
const SHOWN = 10;

/** Adds `trace convert`. */
export function addConvertCommand(program: Command, io: CommandIo): void {
  const command = program
    .command("convert")
    .summary("bpftrace maps, folded stacks, perf script → speedscope, folded, pprof, SVG, HTML")
    .description(
      "Converts profiles. The input may be a bpftrace map (text or -f json), folded stacks, perf script, speedscope or pprof, packed " +
        "with gzip or not; it is known by its content. Several files become several profiles of one speedscope file.",
    )
    .argument("<file...>", "files to read, - for standard input")
    .option("-o, --output <file>", "where to write, - for standard output")
    .addOption(
      new Option("--to <format>", "output format (default: by the name of OUT, else speedscope)").choices(
        OUTPUT_FORMATS,
      ),
    )
    .addOption(createUnitOption())
    .option(
      "--node-budget <n>",
      "tree nodes a speedscope file may have; the smallest stacks beyond are folded (0: no limit)",
      parseBudget,
      DEFAULT_NODE_BUDGET,
    )
    .option("--force", "replace an existing file that is not ours");
  addSelectOption(command).action(async (files: string[], options: ConvertOptions) => {
    await withInterrupt((signal) => convert(files, options, io, signal));
  });
}

async function convert(
  files: readonly string[],
  options: ConvertOptions,
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const output = pickOutput(options, io);
  const format = options.to ?? guessFormat(output) ?? "speedscope";
  const store = await readInputs(files, options, io, signal);
  const selected = selectProfile(store, options.select ?? null);
  if (options.select !== undefined) store.active = store.profiles.indexOf(selected);
  const print = (write: Write): Promise<Pruned | null> =>
    printProfiles(store, { format, selected, nodeBudget: options.nodeBudget }, write);
  const notes = describeChoice(store, format, options);
  if (output === "-") {
    const { write, finish } = openStdout(io.stdout);
    const pruned = await print(write);
    await finish();
    for (const note of [...notes, ...describePruned(pruned)]) io.stderr.write(`trace: ${escapeText(note)}\n`);
    return;
  }
  const { bytes, result } = await writeOutput(output, { format, force: options.force ?? false }, print);
  for (const note of notes) io.stderr.write(`trace: ${escapeText(note)}\n`);
  io.stdout.write(describeResult(store, output, format, bytes, result));
}

/**
 * Standard output for a file. `finish` throws TraceError if some of it could not be written; a reader that goes away (`| head`) has what
 * it wanted.
 */
function openStdout(stdout: CommandIo["stdout"]): { write: Write; finish: () => Promise<void> } {
  let failure: Error | null = null;
  const note = (error?: Error | null): void => {
    failure ??= error ?? null;
  };
  return {
    // The chunk is a view of a buffer that is used again.
    write: (chunk) => void stdout.write(Buffer.from(chunk), note),
    async finish() {
      await new Promise<void>((resolve) => {
        stdout.write("", (error) => {
          note(error);
          resolve();
        });
      });
      if (failure !== null && readErrorCode(failure) !== "EPIPE")
        throw explainWriteError(failure, "standard output");
    },
  };
}

/** Without -o the output goes down the pipe; a terminal is no place for it. */
function pickOutput(options: ConvertOptions, io: CommandIo): string {
  const output = options.output ?? "-";
  const isText = options.to === "folded";
  if (output !== "-" || isText || !io.stdout.isTTY) return output;
  throw new TraceError(EXIT.usage, "this output is not for a terminal", {
    hint: "trace convert FILE -o OUT.speedscope.json",
  });
}

function describeChoice(store: ProfileStore, format: OutputFormat, options: ConvertOptions): string[] {
  if (format === "speedscope" || store.profiles.length === 1 || options.select !== undefined) return [];
  const { name } = selectProfile(store, null);
  return [`${format} holds one profile: took ${JSON.stringify(name)} of ${store.profiles.length} (--select)`];
}

function describeResult(
  store: ProfileStore,
  output: string,
  format: OutputFormat,
  bytes: number,
  pruned: Pruned | null,
): string {
  const lines = [`${output}  ${format}, ${formatBytes(bytes)}`];
  for (const { name, unit, total, stacks } of store.profiles.slice(0, SHOWN)) {
    lines.push(`  ${name}: ${formatWeight(total, unit)} in ${plural(stacks.length, "sample")}`);
  }
  const more = store.profiles.length - SHOWN;
  if (more > 0) lines.push(`  and ${formatCount(more)} more profiles`);
  lines.push(...describePruned(pruned).map((line) => `  ${line}`));
  if (format === "speedscope") lines.push(`open it: trace view ${quoteShell(output)}`);
  return `${lines.map(escapeText).join("\n")}\n`;
}

function parseBudget(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError("a whole number is expected");
  return value;
}
