import { setPriority } from "node:os";
import { performance } from "node:perf_hooks";
import { launchBpftrace, type BpftraceProcess } from "../launch/bpftrace.ts";
import { waitUntilIdle } from "../launch/idle.ts";
import { stopSampling } from "../launch/stop-sampling.ts";
import type { Ask, Fact, Follow, Json } from "../probe/define.ts";
import { followKernelLog } from "./kernel-log.ts";
import type { Input } from "./input.ts";

/** Answers what a run asks of this machine: fact name → answer for a key. A rejected answer becomes null. */
export type Providers = Readonly<Record<string, (key: string) => Promise<Json>>>;

export interface LiveOptions {
  readonly path: string;
  readonly command: { readonly args: readonly string[]; readonly input: string };
  readonly environment: Readonly<Record<string, string>>;
  readonly providers: Providers;
  /** Taken at `ready` and at the end: fact names, each with the keys `before` and `after`. */
  readonly evidence: readonly string[];
  /** Logs that are read along from before the probes are attached. */
  readonly follows?: readonly Follow[];
  /** Seconds; null: until a signal. */
  readonly duration: number | null;
  /** Seconds. */
  readonly interval: number;
  readonly onInput: (input: Input) => void;
}

export interface LiveRun {
  /** The session says that all probes are attached. */
  attached(): void;
  ask(ask: Ask): void;
  /** A signal, or the output is gone. Repeated calls are harmless. */
  stop(): void;
  /** Resolves after the `exit` input. */
  readonly done: Promise<void>;
}

/**
 * The evidence of the end is waited for this long (seconds): its reading is bounded by itself (14 s, collectNet), and without it there is
 * no finding at all. On a machine that swaps or whose CPUs are all taken it needs its time, and that is when somebody looks.
 */
const EVIDENCE_PATIENCE = 20;

/** Other answers that are still missing this long after that (seconds) are given up: the report must not wait for a sick host. */
const ANSWER_PATIENCE = 8;

/** How long bpftrace may print what it has read before it is asked to end (seconds): see `waitUntilIdle`. */
const DRAIN_PATIENCE = 1;

/**
 * Niceness of bpftrace, and of this process, which reads what it prints. On a machine whose CPUs are all taken, at the usual niceness
 * 577 of 23,641 samples arrived (measured, 0.17, six busy programs on two CPUs); both take little time, but have to get it when it is due.
 */
const NICENESS = -10;

/** Runs bpftrace and turns everything that happens into inputs: lines, ticks, facts, the end. The only clock of a session. */
export function startLive(options: LiveOptions): LiveRun {
  const started = performance.now();
  const now = () => Math.round((performance.now() - started) * 1000) / 1e6;
  const pending = new Map<Promise<void>, string>();
  const evidence: Promise<void>[] = [];
  let ticker: NodeJS.Timeout | null = null;
  let limit: NodeJS.Timeout | null = null;
  let isStopped = false;
  let misses: number | null = null;
  let finish: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });

  function answer(ask: Ask): Promise<void> {
    const provider = options.providers[ask.fact];
    const work = (provider === undefined ? Promise.resolve(null) : provider(ask.key))
      .catch(() => null)
      .then((value) => {
        const fact: Fact = { ...ask, value };
        options.onInput({ kind: "fact", at: now(), fact });
      });
    pending.set(work, ask.fact);
    void work.finally(() => pending.delete(work));
    return work;
  }

  /** Waits for answers; gives the kinds of facts (`network`, `owner`) that did not come in time. */
  async function settle(): Promise<string[]> {
    await within(EVIDENCE_PATIENCE, async () => void (await Promise.all(evidence)));
    await within(ANSWER_PATIENCE, async (isOver) => {
      // An answer may lead to further questions.
      while (pending.size > 0 && !isOver()) await Promise.all(pending.keys());
    });
    return [...new Set(pending.values())];
  }

  // Before the program starts: what is logged from here on belongs to this run.
  const followers = (options.follows ?? []).map(({ past }) =>
    followKernelLog(past ?? null, (fact) => options.onInput({ kind: "fact", at: now(), fact })),
  );

  const child: BpftraceProcess = launchBpftrace({
    path: options.path,
    args: options.command.args,
    input: options.command.input,
    environment: options.environment,
    onEvent(event) {
      if (event.kind === "line") options.onInput({ kind: "line", at: now(), line: event.line });
      else if (event.kind === "stderr") options.onInput({ kind: "stderr", at: now(), line: event.line });
      else {
        // A program that ends by itself must not be taken for ready by snapshots that are still under way.
        isStopped = true;
        clearTimers();
        for (const follower of followers) follower.stop();
        const at = now();
        void settle().then((unanswered) => {
          options.onInput({
            kind: "exit",
            at: Math.max(at, now()),
            code: event.code,
            signal: event.signal,
            startError: event.startError,
            killed: event.killed,
            misses,
            ...(unanswered.length > 0 ? { unanswered } : {}),
          });
          finish();
        });
      }
    },
  });

  for (const pid of [0, child.pid]) favour(pid);

  function clearTimers(): void {
    if (ticker !== null) clearInterval(ticker);
    if (limit !== null) clearTimeout(limit);
    ticker = null;
    limit = null;
  }

  async function begin(): Promise<void> {
    await Promise.all([
      stopSampling(child.pid),
      ...options.evidence.map((fact) => answer({ fact, key: "before" })),
    ]);
    if (isStopped) return;
    options.onInput({ kind: "ready", at: now() });
    ticker = setInterval(() => options.onInput({ kind: "tick", at: now() }), options.interval * 1000);
    if (options.duration !== null) limit = setTimeout(() => end("duration"), options.duration * 1000);
  }

  function end(cause: "duration" | "signal"): void {
    if (isStopped) return;
    isStopped = true;
    clearTimers();
    options.onInput({ kind: "stop", at: now(), cause });
    // Counters and events should cover the same time; the `exit` input waits for both.
    for (const fact of options.evidence) evidence.push(answer({ fact, key: "after" }));
    void child.readMisses().then(async (count) => {
      misses = count;
      await waitUntilIdle(child.pid, DRAIN_PATIENCE);
      child.stop();
    });
  }

  return {
    attached: () => void begin(),
    ask: (ask) => void answer(ask),
    stop: () => end("signal"),
    done,
  };
}

/** Resolves when the work is done or the time (seconds) is over; the work can ask which. */
async function within(seconds: number, work: (isOver: () => boolean) => Promise<void>): Promise<void> {
  let isOver = false;
  const { promise: late, resolve: giveUp } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    isOver = true;
    giveUp();
  }, seconds * 1000);
  await Promise.race([work(() => isOver), late]);
  clearTimeout(timer);
}

function favour(pid: number | null): void {
  try {
    if (pid !== null) setPriority(pid, NICENESS);
  } catch {
    // Not allowed, or it has ended: then it runs like anything else.
  }
}
