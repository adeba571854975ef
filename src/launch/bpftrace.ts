import { readdir, readFile } from "node:fs/promises";
import { execa } from "execa";
import { createLineSplitter } from "./lines.ts";
import { openOutputPipe } from "./output-pipe.ts";

/** What happens to a running bpftrace, in order. `exit` is the last event. */
export type ProcessEvent =
  | { readonly kind: "line"; readonly line: Buffer }
  | { readonly kind: "stderr"; readonly line: string }
  | {
      readonly kind: "exit";
      readonly code: number | null;
      readonly signal: string | null;
      /** Why it could not be started at all (ENOENT, EACCES …), else null. */
      readonly startError: string | null;
      /** It ignored SIGTERM and had to be killed. */
      readonly killed: boolean;
    };

export interface BpftraceProcess {
  readonly pid: number | null;
  /** Ends it the way that prints all maps: SIGTERM, repeated while it is silent, SIGKILL after `patience` seconds of silence. */
  stop(): void;
  /** Ends it at once and prints nothing. */
  kill(): void;
  /** Runs of its programs that the kernel skipped because another program ran on that CPU; null where it does not say. */
  readMisses(): Promise<number | null>;
}

export interface LaunchOptions {
  readonly path: string;
  readonly args: readonly string[];
  /** What it gets on standard input. */
  readonly input: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly onEvent: (event: ProcessEvent) => void;
  /** Seconds of silence after SIGTERM until SIGKILL. Default 5: printing large maps is not silent, it goes on line by line. */
  readonly patience?: number;
}

/** A program that bpftrace started itself can hold its stdout open: it is not waited for longer than this (seconds). */
const DRAIN_PATIENCE = 1;

/**
 * Starts bpftrace with the program on standard input, in a session of its own (so that Ctrl-C reaches only us), and
 * drains both its streams for as long as they are open. Never throws: a failed start is an `exit` event.
 */
export function launchBpftrace(options: LaunchOptions): BpftraceProcess {
  const patience = options.patience ?? 5;
  let lastSign = Date.now();
  const stdout = createLineSplitter((line) => options.onEvent({ kind: "line", line }));
  const takeOutput = (chunk: Buffer) => {
    lastSign = Date.now();
    stdout.push(chunk);
  };
  const pipe = openOutputPipe(takeOutput);
  const subprocess = execa(options.path, options.args, {
    input: options.input,
    // Any descriptor is handed on; the types of execa know the first ten only.
    stdout: pipe === null ? "pipe" : (pipe.writer as 3),
    buffer: false,
    reject: false,
    detached: true,
    encoding: "buffer",
    stripFinalNewline: false,
    env: { ...options.environment },
  });
  const pid = subprocess.pid ?? null;
  let timer: NodeJS.Timeout | null = null;
  let killed = false;
  pipe?.begin();

  const stderr = createLineSplitter((line) =>
    options.onEvent({ kind: "stderr", line: line.toString("utf8") }),
  );
  subprocess.stdout?.on("data", takeOutput);
  subprocess.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));

  const signalGroup = (signal: NodeJS.Signals) => {
    if (pid === null) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  };
  // Whatever ends this process, nothing of ours stays behind.
  const onExit = () => signalGroup("SIGKILL");
  process.on("exit", onExit);

  void subprocess.then(async (result) => {
    await pipe?.drain(DRAIN_PATIENCE);
    if (timer !== null) clearInterval(timer);
    process.off("exit", onExit);
    stdout.flush();
    stderr.flush();
    const startError = pid === null ? (result.originalMessage ?? "it could not be started") : null;
    options.onEvent({
      kind: "exit",
      code: result.exitCode ?? null,
      signal: result.signal ?? null,
      startError,
      killed,
    });
  });

  return {
    pid,
    stop() {
      if (timer !== null) return;
      lastSign = Date.now();
      signalGroup("SIGTERM");
      // 0.17 and older can miss a signal while they are busy.
      timer = setInterval(() => {
        if (Date.now() - lastSign > patience * 1000) {
          killed = true;
          signalGroup("SIGKILL");
        } else signalGroup("SIGTERM");
      }, 1000);
    },
    kill() {
      signalGroup("SIGKILL");
    },
    readMisses: () => (pid === null ? Promise.resolve(null) : readRecursionMisses(pid)),
  };
}

/**
 * Sum of `recursion_misses` over the BPF programs a process holds (kernel/bpf/syscall.c, bpf_prog_show_fdinfo; Linux 5.12+): events whose
 * program did not run because one was already running on that CPU. Null where the kernel does not show it.
 */
async function readRecursionMisses(pid: number): Promise<number | null> {
  const folder = `/proc/${pid}/fdinfo`;
  try {
    let sum: number | null = null;
    for (const fd of await readdir(folder)) {
      const found = /^recursion_misses:\s*(\d+)/m.exec(await readFile(`${folder}/${fd}`, "utf8"));
      if (found !== null) sum = (sum ?? 0) + Number(found[1]);
    }
    return sum;
  } catch {
    return null;
  }
}
