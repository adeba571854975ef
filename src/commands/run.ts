import type { Command } from "commander";
import { readFile } from "node:fs/promises";
import { EXIT, TraceError } from "../error.ts";
import type { JsonObject } from "../probe/define.ts";
import { listProbes, loadProbe, readProgram } from "../probe/registry.ts";
import { defineScriptProbe } from "../probe/script.ts";
import { nearest } from "../text/nearest.ts";
import type { CommandIo } from "./io.ts";
import { addTraceOptions, pickProbeOptions, type TraceOptions } from "./trace-options.ts";
import { traceLive, unknownProbe } from "./trace.ts";

/** Adds `trace run NAME|FILE.bt`. */
export function addRunCommand(program: Command, io: CommandIo): void {
  const run = program
    .command("run")
    .summary("any other probe, your own included: trace run NAME|FILE.bt")
    .description(
      "Runs a probe by its name, or any bpftrace script: its lines as they come, its maps as tables.",
    )
    .argument("<name|file.bt>", "a probe, or the path of a bpftrace script")
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false);
  run.action(async (wanted: string) => {
    const probes = await listProbes();
    const folder = probes.find((probe) => probe.name === wanted);
    const isFile = folder === undefined && /[./]/.test(wanted);
    if (folder === undefined && !isFile)
      throw unknownProbe(
        wanted,
        nearest(
          wanted,
          probes.map((probe) => probe.name),
        ),
      );
    const definition = folder === undefined ? defineScriptProbe([]) : await loadProbe(folder);
    const inner = program.createCommand(`run ${wanted}`).copyInheritedSettings(run);
    addTraceOptions(inner, definition).action(async () => {
      const values = inner.opts<TraceOptions & JsonObject>();
      const template =
        folder === undefined ? await readScript(wanted) : await readProgram(folder, definition);
      await traceLive(definition, template, values, pickProbeOptions(definition, values), io);
    });
    await inner.parseAsync(run.args.slice(1), { from: "user" });
  });
}

async function readScript(path: string): Promise<string> {
  try {
    // `${` means nothing in bpftrace, but would be a value in our templates.
    return (await readFile(path, "utf8")).replaceAll("${", "$ {");
  } catch (error) {
    throw new TraceError(EXIT.usage, `cannot read ${path}`, {
      why: (error as NodeJS.ErrnoException).code ?? String(error),
      hint: `ls -l ${path}`,
      cause: error,
    });
  }
}
