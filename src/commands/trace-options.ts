import { Option, type Command } from "commander";
import { EXIT, TraceError } from "../error.ts";
import type { Json, JsonObject, Options, ProbeDefinition } from "../probe/define.ts";
import { parseDuration } from "../probe/duration.ts";
import { FILTERS, type FilterName } from "../probe/filters.ts";

/** Options that every tracing command has, parsed. */
export interface TraceOptions {
  readonly duration?: number;
  readonly interval: number;
  readonly format: "text" | "json";
  /** File name, false for --no-profile, absent for the default name. */
  readonly profile?: string | false;
  readonly record?: string;
  readonly replay?: string;
  readonly bpftrace?: string;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

const MIN_INTERVAL = 0.1;

function parseInterval(text: string): number {
  const seconds = parseDuration(text, "--interval");
  if (seconds < MIN_INTERVAL) {
    throw new TraceError(EXIT.usage, `--interval: ${JSON.stringify(text)} is too short`, {
      why: "the shortest interval is 100ms",
      hint: "--interval 1s",
    });
  }
  return seconds;
}

/** Adds `--format`, `--quiet` … : what commands that print records share. */
export function addOutputOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--format <format>", "json: one record a line (NDJSON)")
        .choices(["text", "json"])
        .default("text"),
    )
    .option("-q, --quiet", "no progress and no notices")
    .option("-v, --verbose", "also what bpftrace says on stderr");
}

/** Adds the shared options of tracing commands, the filters the probe names and its own options. */
export function addTraceOptions(command: Command, definition: ProbeDefinition): Command {
  command
    .option(
      "-d, --duration <time>",
      "how long, from the moment every probe is attached: 500ms, 30s, 5m, 1h (default: until Ctrl-C)",
      (text) => parseDuration(text, "--duration"),
    )
    .option(
      "-i, --interval <time>",
      "how often the live view and the interval records are written",
      parseInterval,
      1,
    );
  addOutputOptions(command);
  addProfileOptions(command);
  command
    .option("--record <file>", "keep the whole session, for trace replay")
    .option("--replay <file>", "take the input from a recording instead of the kernel")
    .option("--bpftrace <path>", "which bpftrace (also TRACE_BPFTRACE)");
  addFilterOptions(command, definition);
  return command;
}

/** `-o/--profile`, `--no-profile`. */
export function addProfileOptions(command: Command): Command {
  return command
    .option(
      "-o, --profile <file>",
      "where the speedscope profile goes (default: <command>-<host>-<UTC time>.speedscope.json)",
    )
    .option("--no-profile", "write no profile");
}

/** The filters a probe names, and its own options. */
function addFilterOptions(command: Command, definition: ProbeDefinition): Command {
  for (const name of definition.filters) {
    const { flags, description, parse } = FILTERS[name];
    command.option(flags, description, parse);
  }
  if (definition.filters.includes("reason"))
    command.option("--all", "show also what is classified as benign");
  if (definition.hasEvents === true) command.option("--events", "one record per event instead of aggregates");
  for (const own of definition.options ?? []) {
    if (own.parse === undefined) command.option(own.flags, own.description);
    else command.option(own.flags, own.description, own.parse, own.default);
  }
  return command;
}

/** The values that go to the probe: filters and its own options, plain data. */
export function pickProbeOptions(definition: ProbeDefinition, values: JsonObject): Options {
  const names = [
    ...definition.filters,
    "all",
    "events",
    ...(definition.options ?? []).map((own) => own.name),
  ];
  return Object.fromEntries(
    names.flatMap((name): [string, Json][] =>
      values[name] === undefined ? [] : [[name, values[name] ?? null]],
    ),
  );
}

/** The shared filter an unknown option would be in another probe, for a better error. */
export function findForeignFilter(option: string, definition: ProbeDefinition): FilterName | null {
  for (const name of Object.keys(FILTERS) as FilterName[]) {
    const flags = FILTERS[name].flags.split(/[ ,]+/).filter((word) => word.startsWith("-"));
    if (flags.includes(option) && !definition.filters.includes(name)) return name;
  }
  return null;
}
