import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";

/** One NDJSON record; tests narrow what they read. */
export interface TraceRecord {
  readonly type: string;
  readonly time: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- records are read freely in tests; their shape is checked by the schema test
  readonly [field: string]: any;
}

export interface TraceRun extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Everything on stdout so far. */
  readonly records: readonly TraceRecord[];
  readonly stderr: () => string;
  /** Resolves with the first record that matches, past or future; rejects when the process ends without one. */
  until(match: (record: TraceRecord) => boolean): Promise<TraceRecord>;
  ready(): Promise<void>;
  /** Ends it with `signal` (default SIGINT) and waits. */
  stop(signal?: NodeJS.Signals): Promise<TraceResult>;
  readonly done: Promise<TraceResult>;
}

export interface TraceResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly records: readonly TraceRecord[];
  /** The last record. */
  readonly summary: TraceRecord;
  readonly stderr: string;
}

const CLI = join(import.meta.dirname, "..", "..", "..", "src", "cli.ts");

/** Starts `trace ARGS --format json` as its user would, and reads its records. Disposing ends it whatever happened. */
export function startTrace(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): TraceRun {
  const child = spawn(process.execPath, [CLI, ...args, "--format", "json"], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const records: TraceRecord[] = [];
  const waiters = new Set<() => void>();
  let stderr = "";
  let isOver = false;
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    records.push(JSON.parse(line) as TraceRecord);
    for (const wake of waiters) wake();
  });
  const done = new Promise<TraceResult>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      isOver = true;
      for (const wake of waiters) wake();
      const summary = records.at(-1) ?? { type: "none", time: "" };
      resolve({ code, signal, records, summary, stderr });
    });
  });
  const until = (match: (record: TraceRecord) => boolean) =>
    new Promise<TraceRecord>((resolve, reject) => {
      const look = () => {
        const found = records.find(match);
        if (found !== undefined) resolve(found);
        else if (isOver) reject(new Error(`trace ended without the record that was waited for: ${stderr}`));
        if (found !== undefined || isOver) waiters.delete(look);
      };
      waiters.add(look);
      look();
    });
  return {
    child,
    records,
    stderr: () => stderr,
    until,
    ready: async () => void (await until((record) => record.type === "ready")),
    async stop(signal = "SIGINT") {
      child.kill(signal);
      return done;
    },
    done,
    async [Symbol.asyncDispose]() {
      if (!isOver) child.kill("SIGKILL");
      await done;
    },
  };
}

/** `trace drops` without a profile, for as long as `traffic` takes. */
export async function traceDuring(
  args: readonly string[],
  traffic: () => Promise<unknown>,
): Promise<TraceResult> {
  await using run = startTrace([...args, "--no-profile"]);
  await run.ready();
  await traffic();
  return await run.stop();
}
