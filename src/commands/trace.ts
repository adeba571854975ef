import type { Command } from "commander";
import { EXIT, TraceError } from "../error.ts";
import { readHostFacts } from "../host/facts.ts";
import { bpftraceArguments, bpftraceEnvironment } from "../launch/environment.ts";
import { runTool } from "../launch/tool.ts";
import type { JsonObject, Options, ProbeDefinition, SessionInfo } from "../probe/define.ts";
import { prepareProgram } from "../probe/prepare.ts";
import { readProgram, type ProbeFolder } from "../probe/registry.ts";
import type { Input } from "../session/input.ts";
import { startLive, type LiveRun } from "../session/live.ts";
import { createProviders } from "../session/providers.ts";
import { createRecorder } from "../session/recording.ts";
import { withReadySignal } from "../session/ready.ts";
import { createSession } from "../session/session.ts";
import { formatBpftraceVersion, parseBpftraceVersion } from "../wire/version.ts";
import type { CommandIo } from "./io.ts";
import { createPresenter } from "./present.ts";
import { replayRecording } from "./replay.ts";
import { addTraceOptions, pickProbeOptions, type TraceOptions } from "./trace-options.ts";

/** Adds `trace NAME` for one probe folder. */
export function addProbeCommand(
  program: Command,
  definition: ProbeDefinition,
  folder: ProbeFolder,
  io: CommandIo,
): void {
  const command = program
    .command(definition.name)
    .summary(definition.summary)
    .description(definition.description);
  addTraceOptions(command, definition).action(async (_: unknown, self: Command) => {
    const values = self.opts<TraceOptions & JsonObject>();
    if (values.replay === undefined) {
      await traceLive(
        definition,
        await readProgram(folder, definition),
        values,
        pickProbeOptions(definition, values),
        io,
      );
    } else await replayRecording(values.replay, values, io, definition.name);
  });
}

/** One live run: prepare, launch, follow, conclude. Throws TraceError for what ended it badly, after the report is out. */
export async function traceLive(
  definition: ProbeDefinition,
  template: string,
  values: TraceOptions,
  options: Options,
  io: CommandIo,
): Promise<void> {
  const host = await readHostFacts({ bpftracePath: values.bpftrace ?? null, run: runTool });
  const program = await prepareProgram(definition, template, host, { ...options, interval: values.interval });
  const version = host.bpftrace?.version == null ? null : parseBpftraceVersion(host.bpftrace.version);
  const info: SessionInfo = {
    command: definition.name,
    argv: process.argv.slice(2),
    host: host.hostname,
    kernel: host.kernel.release,
    bpftrace: version === null ? null : formatBpftraceVersion(version),
    start: new Date().toISOString(),
    capabilities: {
      btf: host.btf !== null,
      kprobes: host.kprobes,
      cgroup: host.cgroup.mode,
      cpus: host.cpus,
      arch: host.arch,
    },
    options: {
      ...(options as JsonObject),
      duration: values.duration ?? null,
      interval: values.interval,
      profile: values.profile ?? null,
    },
    tables: program.tables,
    degraded: program.degraded,
  };
  const recorder = values.record === undefined ? null : createRecorder(values.record, info);
  let live: LiveRun | null = null;
  const presenter = createPresenter(info, values, io, () => live?.stop());
  const session = createSession(definition, info, options, {
    record: presenter.record,
    notice: presenter.notice,
    print: presenter.print,
    live: presenter.live,
    attached: () => live?.attached(),
    ask: (ask) => live?.ask(ask),
  });
  const onInput = (input: Input) => {
    recorder?.write(input);
    session.push(input);
    if (input.kind === "ready") presenter.ready();
  };
  const onSignal = () => live?.stop();
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    live = startLive({
      path: host.bpftrace?.path ?? "bpftrace",
      args: bpftraceArguments(version),
      script: withReadySignal(program.script),
      environment: bpftraceEnvironment(version, { mapKeys: definition.mapKeys ?? 4096 }),
      providers: createProviders(program.netns),
      evidence: definition.evidence ?? [],
      duration: values.duration ?? null,
      interval: values.interval,
      onInput,
    });
    await live.done;
    await presenter.conclude(session);
    await recorder?.close();
  } catch (error) {
    recorder?.abort();
    throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

/** Signals that are a normal end: the report follows. SIGHUP too: a lost terminal must not lose a recording. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The error of a probe name that does not exist. */
export function unknownProbe(name: string, close: readonly string[]): TraceError {
  return new TraceError(EXIT.usage, `there is no probe ${JSON.stringify(name)}`, {
    why: close.length > 0 ? `did you mean ${close.join(" or ")}?` : null,
    hint: "trace list",
  });
}
