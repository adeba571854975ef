import type { Command } from "commander";
import { EXIT, TraceError } from "../error.ts";
import { createAtomicWriter } from "../files/atomic.ts";
import { readHostFacts, type HostFacts } from "../host/facts.ts";
import { bpftraceCommand, bpftraceEnvironment } from "../launch/environment.ts";
import { runTool } from "../launch/tool.ts";
import type { JsonObject, Options, ProbeDefinition, SessionInfo } from "../probe/define.ts";
import { prepareProgram, type Program } from "../probe/prepare.ts";
import { readProgram, type ProbeFolder } from "../probe/registry.ts";
import { isOwnSpeedscope } from "../profile/write.ts";
import { profileName } from "../session/clock.ts";
import type { Input } from "../session/input.ts";
import { startLive, type LiveRun } from "../session/live.ts";
import { createMemoryCgroups } from "../session/memory-cgroups.ts";
import { describeTask, sampleMemory } from "../session/memory-sample.ts";
import { createProviders } from "../session/providers.ts";
import { createRecorder } from "../session/recording.ts";
import { withReadySignal } from "../session/ready.ts";
import { createSession } from "../session/session.ts";
import { formatBpftraceVersion, parseBpftraceVersion } from "../wire/version.ts";
import { END_SIGNALS, type CommandIo } from "./io.ts";
import { createPresenter } from "./present.ts";
import { replayRecording } from "./replay.ts";
import { createSourceContext, traceSource, type Stopper } from "./source.ts";
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
  const stopper = createStopper(io);
  try {
    const profile = checkProfile(definition.name, values, io);
    const source = definition.source?.(options, createSourceContext()) ?? null;
    if (source !== null) {
      await traceSource(definition, source, { ...values, ...profile }, options, io, stopper);
      return;
    }
    const host = await readHostFacts({ bpftracePath: values.bpftrace ?? null, run: runTool });
    const program = await prepareProgram(definition, template, host, {
      ...options,
      interval: values.interval,
    });
    const info = describeSession(definition, host, program, values, options);
    await followSession(definition, program, info, { ...values, ...profile }, options, host, io, stopper);
  } finally {
    stopper.release();
  }
}

async function followSession(
  definition: ProbeDefinition,
  program: Program,
  info: SessionInfo,
  values: TraceOptions,
  options: Options,
  host: HostFacts,
  io: CommandIo,
  stopper: Stopper,
): Promise<void> {
  const version = info.bpftrace === null ? null : parseBpftraceVersion(info.bpftrace);
  const recorder = values.record === undefined ? null : createRecorder(values.record, info);
  const presenter = createPresenter(info, values, io, () => stopper.stop(), {
    keepsLines: definition.keepsLines ?? false,
  });
  const memoryCgroups = createMemoryCgroups(host.cgroup.memory);
  let live: LiveRun | null = null;
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
  try {
    live = startLive({
      path: host.bpftrace?.path ?? "bpftrace",
      command: bpftraceCommand(version, withReadySignal(program.script)),
      environment: bpftraceEnvironment(version, { mapKeys: definition.mapKeys ?? 4096 }),
      providers: {
        ...createProviders(
          program.netns,
          options.netns === undefined ? null : (program.netns.resolve(options.netns)?.inode ?? null),
        ),
        "memory-sample": () => sampleMemory(host.pageSize, memoryCgroups),
        task: describeTask,
        "memory-cgroup": memoryCgroups.find,
      },
      evidence: definition.evidence ?? [],
      follows: definition.follows ?? [],
      duration: values.duration ?? null,
      interval: values.interval,
      onInput,
    });
    stopper.follow(live);
    await live.done;
    await presenter.conclude(session);
    await recorder?.close();
  } finally {
    presenter.close();
    recorder?.abort();
  }
}

/** Signals end a run the normal way from the first moment on, also while the host is still being looked at. */
function createStopper(io: CommandIo): Stopper {
  let run: Pick<LiveRun, "stop"> | null = null;
  let isStopped = false;
  const stop = () => {
    isStopped = true;
    run?.stop();
  };
  for (const signal of END_SIGNALS) process.on(signal, stop);
  if (io.takeSignals()) stop();
  return {
    stop,
    follow(started) {
      run = started;
      if (isStopped) run.stop();
    },
    release() {
      for (const signal of END_SIGNALS) process.off(signal, stop);
    },
  };
}

/**
 * Whether the profile can be written is found out before the run, not after it. A path that was asked for must be writable; where only the
 * default is not, the run goes on without a profile.
 */
function checkProfile(command: string, values: TraceOptions, io: CommandIo): { profile?: false } {
  if (values.profile === false) return {};
  try {
    createAtomicWriter(values.profile ?? profileName(command, "check", new Date().toISOString()), {
      isOurs: isOwnSpeedscope,
    }).abort();
    return {};
  } catch (error) {
    if (!(error instanceof TraceError) || values.profile !== undefined) throw error;
    io.stderr.write(
      `trace: warning: no profile: ${error.message}: ${error.why ?? "unknown"} (choose a place with -o FILE)\n`,
    );
    return { profile: false };
  }
}

function describeSession(
  definition: ProbeDefinition,
  host: HostFacts,
  program: Program,
  values: TraceOptions,
  options: Options,
): SessionInfo {
  const version = host.bpftrace?.version == null ? null : parseBpftraceVersion(host.bpftrace.version);
  return {
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
}

/** The error of a probe name that does not exist. */
export function unknownProbe(name: string, close: readonly string[]): TraceError {
  return new TraceError(EXIT.usage, `there is no probe ${JSON.stringify(name)}`, {
    why: close.length > 0 ? `did you mean ${close.join(" or ")}?` : null,
    hint: "trace list",
  });
}
