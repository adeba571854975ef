import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateBpftraceText } from "./generate-bpftrace-text.ts";

/** What is installed, if it was built (`npm run build`): reading the sources alone costs half a second. */
const BUILT = new URL("../../dist/src/cli.js", import.meta.url).pathname;
export const CLI = existsSync(BUILT) ? BUILT : new URL("../../src/cli.ts", import.meta.url).pathname;
const USAGE = new URL("./report-usage.mjs", import.meta.url).href;
const SCAN = new URL("./scan-lines.mjs", import.meta.url).pathname;
const ROUNDS = 3;
const STACKS = 200_000;

/** What the converter has to reach, relative to FlameGraph's collapser in the same run. */
const WANTED = { speedup: 2.5, rss: 300 * 2 ** 20 };

export interface Run {
  readonly seconds: number;
  /** CPU time of the process, all its threads: what other load on the machine changes least. */
  readonly cpu: number;
  /** Bytes; null for a process that cannot tell. */
  readonly rss: number | null;
}

/** Runs a script in this perl, and says in the end what CPU time it took. */
const PERL_USAGE =
  'my $f = shift; END { my ($u, $s) = times; printf STDERR "\\nusage {\\"rss\\":null,\\"cpu\\":%f}\\n", $u + $s } do $f; die $@ if $@;';

/**
 * Measures `trace convert` of a bpftrace map text with 200,000 stacks against FlameGraph's stackcollapse-bpftrace.pl, in turns. FLAMEGRAPH
 * names the folder of that script (git clone https://github.com/brendangregg/FlameGraph); without it only our side is measured.
 * Returns whether the goals are met.
 */
export async function benchConvert(print: (line: string) => void): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "trace-bench-"));
  try {
    const input = join(folder, "map.txt");
    const { total } = generateBpftraceText(input, STACKS);
    const size = statSync(input).size;
    print(`program: ${CLI === BUILT ? "dist" : "src, not built"}`);
    print(`input: bpftrace map text, ${(size / 1e6).toFixed(0)} MB, ${STACKS} stacks`);
    const peer = join(process.env["FLAMEGRAPH"] ?? "", "stackcollapse-bpftrace.pl");
    const hasPeer = process.env["FLAMEGRAPH"] !== undefined && existsSync(peer);
    const runs: Record<string, Run[]> = { scan: [], whole: [], pruned: [], peer: [] };
    for (let round = 0; round < ROUNDS; round++) {
      runs["scan"]?.push(await measure(process.execPath, ["--import", USAGE, SCAN, input]));
      runs["pruned"]?.push(await convert(input, join(folder, "pruned.json"), total, []));
      runs["whole"]?.push(await convert(input, join(folder, "whole.json"), total, ["--node-budget", "0"]));
      if (hasPeer) runs["peer"]?.push(await measure("perl", ["-e", PERL_USAGE, peer, input]));
    }
    const show = (name: string, label: string): Run => {
      const run = median(runs[name] ?? []);
      const memory = run.rss === null ? "" : `, ${(run.rss / 2 ** 20).toFixed(0)} MB`;
      const speed = (size / 1e6 / run.seconds).toFixed(0);
      print(`${label}: ${run.seconds.toFixed(2)} s (${run.cpu.toFixed(2)} s of CPU), ${speed} MB/s${memory}`);
      return run;
    };
    const scan = show("scan", "newline scan in Node");
    const pruned = show("pruned", "trace convert, default node budget");
    const whole = show("whole", "trace convert, no node budget");
    print(`trace takes ${(pruned.seconds / scan.seconds).toFixed(1)} times as long as the scan`);
    const rss = Math.max(pruned.rss ?? 0, whole.rss ?? 0);
    if (!hasPeer) {
      print("stackcollapse-bpftrace.pl: not measured, set FLAMEGRAPH to its folder");
      return rss < WANTED.rss;
    }
    const other = show("peer", "stackcollapse-bpftrace.pl");
    const wall = other.seconds / Math.max(pruned.seconds, whole.seconds);
    const speedup = other.cpu / Math.max(pruned.cpu, whole.cpu);
    print(
      `trace is ${wall.toFixed(2)} times as fast, ${speedup.toFixed(2)} times by CPU time (wanted: ${WANTED.speedup})`,
    );
    // What a user waits for counts; CPU time is shown because it moves less on a loaded machine.
    return wall >= WANTED.speedup && rss < WANTED.rss;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function convert(
  input: string,
  output: string,
  total: number,
  options: readonly string[],
): Promise<Run> {
  const words = ["convert", input, "-o", output, ...options];
  const run = await measureTrace(words);
  const [, written] = /"endValue":(\d+)/.exec(readFileSync(output, "latin1")) ?? [];
  if (Number(written) !== total) throw new Error(`converted ${written} of ${total}`);
  return run;
}

export function measureTrace(words: readonly string[]): Promise<Run> {
  return measure(process.execPath, ["--import", USAGE, CLI, ...words]);
}

/** Runs a command; rejects with what it said on stderr when it fails. */
function measure(command: string, words: readonly string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, words, { stdio: ["ignore", "ignore", "pipe"] });
    let text = "";
    child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      const seconds = (performance.now() - start) / 1000;
      const usage = /^usage \{"rss":(null|\d+),"cpu":([\d.]+)/m.exec(text);
      const rss = usage?.[1] === undefined || usage[1] === "null" ? null : Number(usage[1]);
      if (code === 0 && usage !== null) resolve({ seconds, cpu: Number(usage[2]), rss });
      else reject(new Error(`${command} ended with ${code}: ${text}`));
    });
  });
}

function median(runs: readonly Run[]): Run {
  const sorted = runs.toSorted((one, two) => one.seconds - two.seconds);
  const middle = sorted[sorted.length >> 1];
  if (middle === undefined) throw new Error("no runs");
  return middle;
}
