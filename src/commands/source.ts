import { hostname, release } from "node:os";
import { performance } from "node:perf_hooks";
import { TraceError } from "../error.ts";
import type { Fact, JsonObject, Options, ProbeDefinition, SessionInfo } from "../probe/define.ts";
import type { Input } from "../session/input.ts";
import type { LiveRun } from "../session/live.ts";
import { createRecorder } from "../session/recording.ts";
import { createSession } from "../session/session.ts";
import type { CommandIo } from "./io.ts";
import { createPresenter } from "./present.ts";
import type { TraceOptions } from "./trace-options.ts";

export interface Stopper {
  /** Ends the run, also one that has not started yet. */
  stop(): void;
  follow(run: Pick<LiveRun, "stop">): void;
  release(): void;
}

/** A source that says nothing for so long (milliseconds) is at rest: what waits for more of it is told so with a tick. */
const QUIET_MS = 500;

/**
 * A session whose inputs come from a probe's `source`: no bpftrace, no root. Throws TraceError: at once for what cannot be opened, after the
 * report for what broke on the way.
 */
export async function traceSource(
  definition: ProbeDefinition,
  source: AsyncIterable<readonly Fact[]>,
  values: TraceOptions,
  options: Options,
  io: CommandIo,
  stopper: Stopper,
): Promise<void> {
  const started = performance.now();
  const now = () => Math.round((performance.now() - started) * 1000) / 1e6;
  const stopped = Promise.withResolvers<"stop">();
  stopper.follow({ stop: () => stopped.resolve("stop") });
  const batches = source[Symbol.asyncIterator]();
  let next = batches.next();
  // What cannot be opened is an error before anything is printed.
  await Promise.race([next, stopped.promise]);

  const info = describeSource(definition, values, options);
  const recorder = values.record === undefined ? null : createRecorder(values.record, info);
  const presenter = createPresenter(info, values, io, () => stopper.stop(), true);
  const session = createSession(definition, info, options, {
    record: presenter.record,
    notice: presenter.notice,
    print: presenter.print,
    live: () => {},
    attached: () => {},
    ask: () => {},
  });
  const push = (input: Input) => {
    recorder?.write(input);
    session.push(input);
  };
  let failure: TraceError | null = null;
  try {
    push({ kind: "ready", at: now() });
    try {
      for (;;) {
        const step = await takeNext(next, stopped.promise);
        if (step === "stop") break;
        if (step === "quiet") {
          push({ kind: "tick", at: now() });
          continue;
        }
        if (step.done === true) break;
        for (const fact of step.value) push({ kind: "fact", at: now(), fact });
        next = batches.next();
      }
    } catch (error) {
      if (!(error instanceof TraceError)) throw error;
      failure = error;
    }
    push({ kind: "stop", at: now(), cause: "signal" });
    push({
      kind: "exit",
      at: now(),
      code: 0,
      signal: null,
      startError: null,
      killed: false,
      misses: null,
    });
    await presenter.conclude(session, failure);
    await recorder?.close();
  } finally {
    presenter.close();
    recorder?.abort();
    // A reader that waits for a pipe would keep the process; what it still brings is of no interest.
    next.catch(() => {});
    void batches.return?.().catch(() => {});
    process.stdin.unref?.();
  }
}

async function takeNext(
  next: Promise<IteratorResult<readonly Fact[]>>,
  stopped: Promise<"stop">,
): Promise<IteratorResult<readonly Fact[]> | "stop" | "quiet"> {
  const { promise: quiet, resolve } = Promise.withResolvers<"quiet">();
  const timer = setTimeout(() => resolve("quiet"), QUIET_MS);
  try {
    return await Promise.race([stopped, next, quiet]);
  } finally {
    clearTimeout(timer);
  }
}

function describeSource(definition: ProbeDefinition, values: TraceOptions, options: Options): SessionInfo {
  return {
    command: definition.name,
    argv: process.argv.slice(2),
    host: hostname(),
    kernel: release(),
    bpftrace: null,
    start: new Date().toISOString(),
    capabilities: {},
    options: {
      ...(options as JsonObject),
      duration: values.duration ?? null,
      interval: values.interval,
      profile: values.profile ?? null,
    },
    tables: {},
    degraded: [],
  };
}
