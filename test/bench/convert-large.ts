import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measureTrace, type Run } from "./convert.ts";
import { generateBpftraceText } from "./generate-bpftrace-text.ts";

const STACKS = 2_000_000;
/** V8's longest string has 2^29 - 24 characters: what is written at once cannot be longer. */
const LONGEST_STRING = 2 ** 29 - 24;
const NODE_BUDGET = 1_000_000;
const BLOCK = 1 << 20;

/**
 * Measures `trace convert` of two million different stacks (about 3.4 GB), once for each output, and checks that nothing is lost: the
 * totals, the stacks, the node budget, and an output longer than any string. Needs 8 GB in the temporary folder.
 */
export async function benchConvertLarge(print: (line: string) => void): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "trace-bench-"));
  try {
    const input = join(folder, "map.txt");
    const { stacks, distinct, total } = generateBpftraceText(input, STACKS);
    print(
      `input: bpftrace map text, ${megabytes(input)} MB, ${stacks} stacks (${distinct} without their offsets), ${total} samples`,
    );
    const convert = async (name: string, ...options: string[]): Promise<string> => {
      const output = join(folder, name);
      const run = await measureTrace(["convert", input, "-o", output, ...options]);
      print(
        `${name}${options.length > 0 ? ` ${options.join(" ")}` : ""}: ${describe(run)}, ${megabytes(output)} MB`,
      );
      return output;
    };
    const checks: Record<string, boolean> = {};

    const pruned = readProfile(await convert("pruned.json"));
    print(`  ${pruned.nodes} tree nodes, ${pruned.total} samples`);
    checks["the node budget is kept, and used"] =
      pruned.nodes <= NODE_BUDGET && pruned.nodes > 0.9 * NODE_BUDGET;
    checks["with a node budget the total is exact"] = pruned.total === total;

    const whole = await convert("whole.json", "--node-budget", "0");
    checks["without it, too"] = readEndValue(whole) === total;
    rmSync(whole);

    const folded = await convert("whole.folded");
    const lines = sumLines(folded);
    print(`  ${lines.count} lines, ${lines.sum} samples`);
    checks["no stack is missing, nor a sample"] = lines.count === distinct && lines.sum === total;
    checks["the output is longer than any string"] = statSync(folded).size > LONGEST_STRING;

    for (const [what, isTrue] of Object.entries(checks)) print(`${isTrue ? "ok" : "NOT SO"}: ${what}`);
    return Object.values(checks).every(Boolean);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function describe({ seconds, cpu, rss }: Run): string {
  const memory = rss === null ? "" : `, ${(rss / 2 ** 20).toFixed(0)} MB of memory`;
  return `${seconds.toFixed(1)} s (${cpu.toFixed(1)} s of CPU)${memory}`;
}

function megabytes(path: string): string {
  return (statSync(path).size / 1e6).toFixed(0);
}

/** The tree as a viewer builds it from the samples, which stand depth first. */
function readProfile(path: string): { nodes: number; total: number } {
  const { profiles } = JSON.parse(readFileSync(path, "utf8")) as {
    profiles: { samples: number[][]; weights: number[] }[];
  };
  let nodes = 0;
  let total = 0;
  for (const { samples, weights } of profiles) {
    let previous: readonly number[] = [];
    for (const sample of samples) {
      let same = 0;
      while (same < sample.length && sample[same] === previous[same]) same += 1;
      nodes += sample.length - same;
      previous = sample;
    }
    for (const weight of weights) total += weight;
  }
  return { nodes, total };
}

/** What the only profile of the file says its weights add up to: it stands behind them, before the frames. */
function readEndValue(path: string): number {
  const fd = openSync(path, "r");
  const block = Buffer.alloc(BLOCK);
  let found = Number.NaN;
  let text = "";
  for (let size = readSync(fd, block); size > 0; size = readSync(fd, block)) {
    text = text.slice(-64) + block.toString("latin1", 0, size);
    found = Number(/"endValue":(\d+)\D/.exec(text)?.[1] ?? found);
  }
  closeSync(fd);
  return found;
}

/** Lines of a folded file, and the sum of the numbers at their ends. */
function sumLines(path: string): { count: number; sum: number } {
  const fd = openSync(path, "r");
  const block = Buffer.alloc(BLOCK);
  let count = 0;
  let sum = 0;
  let number = 0;
  for (let size = readSync(fd, block); size > 0; size = readSync(fd, block)) {
    for (let at = 0; at < size; at++) {
      const byte = block[at] ?? 0;
      if (byte === 10) {
        count += 1;
        sum += number;
      }
      number = byte >= 48 && byte <= 57 ? number * 10 + byte - 48 : 0;
    }
  }
  closeSync(fd);
  return { count, sum };
}
