import type { Command } from "commander";
import { readHostFacts } from "../host/facts.ts";
import { runTool } from "../launch/tool.ts";
import type { JsonObject } from "../probe/define.ts";
import { prepareProgram } from "../probe/prepare.ts";
import { listProbes, loadProbe, readProgram } from "../probe/registry.ts";
import { withReadySignal } from "../session/ready.ts";
import { nearest } from "../text/nearest.ts";
import type { CommandIo } from "./io.ts";
import { addTraceOptions, pickProbeOptions, type TraceOptions } from "./trace-options.ts";
import { unknownProbe } from "./trace.ts";

/** Adds `trace script NAME [options]`: the exact program that would run, for plain bpftrace of this host. */
export function addScriptCommand(program: Command, io: CommandIo): void {
  const script = program
    .command("script")
    .summary("the exact bpftrace program that would run")
    .description(
      "Prints the program that trace NAME would run on this host with these options; plain bpftrace can run it.",
    )
    .argument("<name>", "the probe")
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false);
  script.action(async (name: string) => {
    const probes = await listProbes();
    const folder = probes.find((probe) => probe.name === name);
    if (folder === undefined)
      throw unknownProbe(
        name,
        nearest(
          name,
          probes.map((probe) => probe.name),
        ),
      );
    const definition = await loadProbe(folder);
    const inner = program.createCommand("script").summary("").exitOverride().copyInheritedSettings(script);
    inner.name(`script ${name}`);
    addTraceOptions(inner, definition).action(async () => {
      const values = inner.opts<TraceOptions & JsonObject>();
      const host = await readHostFacts({ bpftracePath: values.bpftrace ?? null, run: runTool });
      const options = { ...pickProbeOptions(definition, values), interval: values.interval };
      const { script: text } = await prepareProgram(
        definition,
        await readProgram(folder, definition),
        host,
        options,
      );
      io.stdout.write(withReadySignal(text));
    });
    await inner.parseAsync(script.args.slice(1), { from: "user" });
  });
}
