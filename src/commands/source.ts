import { hostname, release } from "node:os";
import { performance } from "node:perf_hooks";
import { TraceError } from "../error.ts";
import { streamTool } from "../launch/stream.ts";
import type {
  Fact,
  JsonObject,
  Options,
  ProbeDefinition,
  SessionInfo,
  SourceContext,
} from "../probe/define.ts";
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

/** What a source may use; standard input is only touched by one that reads it. */
export function createSourceContext(): SourceContext {
  return {
    get stdin() {
      return process.stdin;
    },
    run: streamTool,
  };
}

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
  const latch: StopLatch = { isSet: false, wake: () => {} };
  const stop = () => {
    latch.isSet = true;
    latch.wake();
  };
  stopper.follow({ stop });
  const batches = source[Symbol.asyncIterator]();
  let next = batches.next();
  const limit = values.duration === undefined ? null : setTimeout(stop, values.duration * 1000);
  // What cannot be opened is an error before anything is printed.
  await takeNext(next, latch);

  const info = describeSource(definition, values, options);
  const recorder = values.record === undefined ? null : createRecorder(values.record, info);
  const presenter = createPresenter(info, values, io, () => stopper.stop(), { isReplay: true });
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
        const step = await takeNext(next, latch);
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
    clearTimeout(limit ?? undefined);
  }
}

/** A request to end, which can come before anybody waits for it. */
interface StopLatch {
  isSet: boolean;
  wake: () => void;
}

/**
 * The next batch, or why there is none. No `Promise.race` with a promise that lives as long as the run: it would keep every batch it ever
 * lost to.
 */
function takeNext(
  next: Promise<IteratorResult<readonly Fact[]>>,
  latch: StopLatch,
): Promise<IteratorResult<readonly Fact[]> | "stop" | "quiet"> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(() => resolve("quiet")), QUIET_MS);
    const settle = (conclude: () => void) => {
      clearTimeout(timer);
      latch.wake = () => {};
      conclude();
    };
    latch.wake = () => settle(() => resolve("stop"));
    if (latch.isSet) latch.wake();
    next.then(
      (step) => settle(() => resolve(step)),
      (error: unknown) => settle(() => reject(error instanceof Error ? error : new Error(String(error)))),
    );
  });
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
