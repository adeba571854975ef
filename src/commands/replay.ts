import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { EXIT, TraceError } from "../error.ts";
import type { JsonObject, Options, ProbeDefinition, SessionInfo } from "../probe/define.ts";
import { listProbes, loadProbe } from "../probe/registry.ts";
import { defineScriptProbe, SCRIPT_COMMAND } from "../probe/script.ts";
import { openRecording } from "../session/recording.ts";
import { createSession } from "../session/session.ts";
import type { CommandIo } from "./io.ts";
import { createPresenter } from "./present.ts";
import { addOutputOptions, addProfileOptions, type TraceOptions } from "./trace-options.ts";

/** The recording that ships with a probe: what `trace replay` shows without a file. */
async function findSample(): Promise<string> {
  for (const folder of await listProbes()) {
    const path = join(folder.path, "fixtures", "sample.trace.gz");
    if (existsSync(path)) return path;
  }
  throw new TraceError(EXIT.usage, "there is no recording to show", { hint: "trace replay FILE" });
}

/** Adds `trace replay`. */
export function addReplayCommand(program: Command, io: CommandIo): void {
  const command = program
    .command("replay")
    .summary("the same report from a recording, on any machine, without root")
    .description(
      "Shows the report of a session that was kept with --record. Without a file: a recording that ships with trace.",
    )
    .argument("[file]", "the recording");
  addProfileOptions(addOutputOptions(command))
    .option("--all", "show also what is classified as benign")
    .action(async (file: string | undefined, values: TraceOptions & JsonObject) => {
      await replayRecording(
        file ?? (await findSample()),
        { ...values, ...(file === undefined && values.profile === undefined ? { profile: false } : {}) },
        io,
        null,
      );
    });
}

/** Runs a recording through the session it came from. `expected`: the probe it has to be of, null for any. */
export async function replayRecording(
  file: string,
  values: TraceOptions & JsonObject,
  io: CommandIo,
  expected: string | null,
): Promise<void> {
  const recording = await openRecording(file);
  const { info } = recording;
  if (expected !== null && info.command !== expected) {
    throw new TraceError(EXIT.usage, `${file} is a recording of trace ${info.command}`, {
      why: `trace ${expected} cannot show it`,
      hint: `trace replay ${file}`,
    });
  }
  const definition = await findDefinition(info.command, file);
  const options = { ...info.options, ...(values["all"] === true ? { all: true } : {}) } as Options;
  const presenter = createPresenter(info, withRecordedProfile(values, info), io, () => {}, {
    isReplay: true,
  });
  const session = createSession(definition, info, options, {
    record: presenter.record,
    notice: presenter.notice,
    print: presenter.print,
    live: () => {},
    attached: () => {},
    ask: () => {},
  });
  for await (const input of recording.inputs) session.push(input);
  await presenter.conclude(session);
}

async function findDefinition(name: string, file: string): Promise<ProbeDefinition> {
  if (name === SCRIPT_COMMAND) return defineScriptProbe([]);
  const folder = (await listProbes()).find((probe) => probe.name === name);
  if (folder !== undefined) return loadProbe(folder);
  throw new TraceError(EXIT.failed, `this trace has no probe ${JSON.stringify(name)}`, {
    why: `${file} was made with one`,
    hint: "copy the probe's folder into probes/",
  });
}

/** The profile goes where the recorded session put it, unless this call says otherwise: that keeps the report the same. */
function withRecordedProfile(values: TraceOptions, info: SessionInfo): TraceOptions {
  if (values.profile !== undefined && (values.profile as unknown) !== true) return values;
  const recorded = info.options["profile"];
  if (recorded === false) return { ...values, profile: false };
  const { profile: _, ...rest } = values;
  return typeof recorded === "string" ? { ...rest, profile: recorded } : rest;
}
