import { Command, CommanderError } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import type { CommandIo } from "./io.ts";
import { findForeignFilter } from "./trace-options.ts";
import { EXIT, TraceError, type ExitCode } from "../error.ts";
import { listProbes, loadProbe, type ProbeFolder } from "../probe/registry.ts";
import type { ProbeDefinition } from "../probe/define.ts";
import { escapeText } from "../text/escape.ts";
import { nearest } from "../text/nearest.ts";

/** Commands that are no probe: each is loaded when it is the one that was asked for. */
const COMMANDS: Readonly<Record<string, (program: Command, io: CommandIo) => Promise<void> | void>> = {
  list: async (program, io) => (await import("./list.ts")).addListCommand(program, io),
  run: async (program, io) => (await import("./run.ts")).addRunCommand(program, io),
  script: async (program, io) => (await import("./script.ts")).addScriptCommand(program, io),
  explain: async (program, io) => (await import("./explain.ts")).addExplainCommand(program, io),
  doctor: async (program, io) => (await import("./doctor.ts")).addDoctorCommand(program, io),
  replay: async (program, io) => (await import("./replay.ts")).addReplayCommand(program, io),
  convert: async (program, io) => (await import("./convert.ts")).addConvertCommand(program, io),
  diff: async (program, io) => (await import("./diff.ts")).addDiffCommand(program, io),
  view: async (program, io) =>
    (await import("./view.ts")).addViewCommand(
      program,
      io,
      (await import("../launch/browser.ts")).openBrowser,
    ),
};

/** As a shell reports a process that ended by SIGINT. */
const INTERRUPTED = 130;

/** Runs one command line. Never throws; the exit code goes to `io.exit`. */
export async function main(argv: readonly string[], io: CommandIo): Promise<void> {
  let definition: ProbeDefinition | null = null;
  try {
    const program = createProgram(io);
    const probes = await listProbes();
    const wanted = argv.find((word) => !word.startsWith("-")) ?? null;
    const folder = probes.find((probe) => probe.name === wanted) ?? null;
    if (folder !== null) {
      definition = await loadProbe(folder);
      (await import("./trace.ts")).addProbeCommand(program, definition, folder, io);
    } else if (wanted !== null && Object.hasOwn(COMMANDS, wanted)) {
      // `run` traces and ends well on a signal; for the others it is an interruption.
      if (wanted !== "run" && io.takeSignals()) return io.exit(INTERRUPTED);
      await COMMANDS[wanted]?.(program, io);
    } else if (wanted !== null && wanted !== "help") {
      throw unknownCommand(wanted, probes);
    } else await addEverything(program, probes, io);
    if (argv.length === 0) {
      io.stderr.write(program.helpInformation());
      return io.exit(EXIT.usage);
    }
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    io.exit(reportError(error, argv, definition, io));
  }
}

function createProgram(io: CommandIo): Command {
  return new Command("trace")
    .description(
      "eBPF tracing that concludes: which packets are dropped and by which rule, who was killed for memory, where the CPU time goes.",
    )
    .version(packageJson.version)
    .option("--color <when>", "auto, always or never (NO_COLOR is honoured)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: () => {},
      getOutHelpWidth: () => io.width,
    })
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: false });
}

async function addEverything(program: Command, probes: readonly ProbeFolder[], io: CommandIo): Promise<void> {
  const { addProbeCommand } = await import("./trace.ts");
  for (const folder of probes) addProbeCommand(program, await loadProbe(folder), folder, io);
  for (const add of Object.values(COMMANDS)) await add(program, io);
}

function unknownCommand(wanted: string, probes: readonly ProbeFolder[]): TraceError {
  const close = nearest(wanted, [...probes.map((probe) => probe.name), ...Object.keys(COMMANDS)]);
  return new TraceError(EXIT.usage, `there is no command ${JSON.stringify(wanted)}`, {
    why: close.length > 0 ? `did you mean ${close.join(" or ")}?` : null,
    hint: "trace --help",
  });
}

/** Tells an error on stderr and gives the exit code. What failed, why, what to do: at most three lines. A bug keeps its stack. */
export function reportError(
  error: unknown,
  argv: readonly string[],
  definition: ProbeDefinition | null,
  io: CommandIo,
): ExitCode {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code === "commander.help") {
      return EXIT.usage;
    }
    return reportError(explainUsage(error, argv, definition), argv, definition, io);
  }
  if (!(error instanceof TraceError)) {
    io.stderr.write(
      `trace: this is a bug, please report it\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return EXIT.failed;
  }
  const hint = error.hint;
  const lines = [`trace: ${escapeText(error.message)}`];
  if (error.why !== null) lines.push(`  why: ${escapeText(error.why)}`);
  if (hint !== null) lines.push(`  try: ${escapeText(hint)}`);
  io.stderr.write(`${lines.join("\n")}\n`);
  return error.code;
}

function explainUsage(
  error: CommanderError,
  argv: readonly string[],
  definition: ProbeDefinition | null,
): TraceError {
  const [message = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const option = /unknown option '([^']+)'/.exec(message)?.[1]?.split("=")[0];
  const command = argv.find((word) => !word.startsWith("-"));
  const foreign = option !== undefined && definition !== null ? findForeignFilter(option, definition) : null;
  const why =
    foreign === null
      ? more.join(" ").replace(/^\((.*)\)$/, "$1") || null
      : `${definition?.name ?? ""} cannot be filtered by ${foreign}`;
  return new TraceError(EXIT.usage, message, {
    why,
    hint: `trace ${command === undefined ? "" : `${command} `}--help`,
  });
}
