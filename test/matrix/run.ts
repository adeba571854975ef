/**
 * `npm run matrix`: trace end to end with other versions of bpftrace (Debian trees, on this machine's kernel) and on other kernels
 * (QEMU). Needs root on a Debian machine with its apt sources; what it downloads stays in TRACE_MATRIX_CACHE.
 *
 *     npm run matrix                                all cases
 *     npm run matrix -- --list                      their names
 *     npm run matrix -- bpftrace-0.11 kernel-5.10   these
 *     npm run matrix -- kernel-5.10 --steps drops,oom
 *
 * One line a case, with its seconds; ends with 1 when one failed, and keeps what that one printed and recorded.
 */
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CASES, STEPS, type MatrixCase, type Step } from "./cases.ts";
import { checkStep, readStep } from "./checks.ts";

const HERE = import.meta.dirname;
const ROOT = join(HERE, "..", "..");
const CACHE = process.env["TRACE_MATRIX_CACHE"] ?? join(tmpdir(), "trace-matrix");
const CLI = "dist/src/cli.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: "boolean" }, steps: { type: "string" } },
});
process.exitCode = values.list === true ? list() : await main();

function list(): number {
  for (const { name, suite, place } of CASES) print(`${name.padEnd(14)}  ${suite.padEnd(9)}  ${place}`);
  return 0;
}

async function main(): Promise<number> {
  const steps = STEPS.filter((step) => values.steps === undefined || values.steps.split(",").includes(step));
  const unknown = positionals.find((name) => !CASES.some((item) => item.name === name));
  if (unknown !== undefined || steps.length === 0) {
    print(
      `no such ${steps.length === 0 ? "step" : `case: ${unknown ?? ""}`}; --list names the cases, the steps are ${STEPS.join(", ")}`,
    );
    return 2;
  }
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    print("the matrix needs root on Linux: it makes file systems and loads BPF programs");
    return 2;
  }
  prepare();
  let failed = 0;
  for (const item of CASES) {
    if (positionals.length > 0 && !positionals.includes(item.name)) continue;
    if (!(await runCase(item, steps))) failed += 1;
  }
  return failed === 0 ? 0 : 1;
}

/** dist/, which is what the cases run, and this Node where they find it. */
function prepare(): void {
  const built = spawnSync(process.execPath, [join(ROOT, "src", "bootstrap", "build.mjs")], {
    stdio: "inherit",
  });
  if (built.status !== 0) process.exit(1);
  const node = join(CACHE, "bin", "node");
  mkdirSync(join(CACHE, "bin"), { recursive: true });
  if (!existsSync(node) || statSync(node).size !== statSync(process.execPath).size) {
    copyFileSync(process.execPath, node);
  }
}

/** Runs a case and tells it; true when it passed. */
async function runCase({ name, suite, place }: MatrixCase, steps: readonly Step[]): Promise<boolean> {
  const folder = mkdtempSync(join(CACHE, `${name}.`));
  const started = Date.now();
  const script = join(HERE, place === "machine" ? "vm.sh" : "root.sh");
  const code = await run(script, [CACHE, suite, ROOT, folder, join(HERE, "guest.sh"), CLI, ...steps]);
  const problems = code === 0 ? [] : [`${place} ended with ${String(code)}`];
  const passed: string[] = [];
  for (const step of steps) {
    const found = await checkStep(step, readStep(folder, step));
    if (found.length === 0) passed.push(step);
    problems.push(...found.map((problem) => `${step}: ${problem}`));
  }
  const seconds = Math.round((Date.now() - started) / 1000);
  const versions = existsSync(join(folder, "versions"))
    ? readFileSync(join(folder, "versions"), "utf8").trim().split("\n").join(", ")
    : "versions unknown";
  const state = problems.length === 0 ? "ok" : "FAILED";
  print(
    `${name.padEnd(14)}  ${state.padEnd(6)}  ${String(seconds).padStart(4)} s  ${versions}: ${passed.join(", ")}`,
  );
  for (const problem of problems) print(`    ${problem}`);
  if (problems.length === 0) rmSync(folder, { recursive: true });
  else print(`    ${folder}`);
  return problems.length === 0;
}

function run(script: string, args: readonly string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn("bash", [script, ...args], { stdio: ["ignore", "ignore", "inherit"] });
    child.on("error", reject);
    child.on("close", resolve);
  });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
