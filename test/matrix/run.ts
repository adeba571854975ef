/**
 * `npm run matrix`: trace end to end with other versions of bpftrace (Debian trees, on this machine's kernel) and on other kernels
 * (QEMU). Needs root on a Debian machine with its apt sources; what it downloads stays in TRACE_MATRIX_CACHE.
 *
 *     npm run matrix                                all cases
 *     npm run matrix -- --list                      their names
 *     npm run matrix -- bpftrace-0.11 kernel-5.10   these
 *     npm run matrix -- kernel-5.10 --steps drops,oom
 *     npm run matrix -- kernel-5.10+0.23            that kernel with another suite's bpftrace
 *     TRACE_MATRIX_KEEP=DIR npm run matrix          what each case recorded goes to DIR/CASE: fixtures/vm is made so
 *
 * One line a case, with its seconds; ends with 1 when one failed, and keeps what that one printed and recorded for a day.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CASES, STEPS, findCase, type MatrixCase, type Step } from "./cases.ts";
import { checkStep } from "./checks.ts";
import { readStep } from "./step-result.ts";

const HERE = import.meta.dirname;
const ROOT = join(HERE, "..", "..");
const CACHE = process.env["TRACE_MATRIX_CACHE"] ?? join(tmpdir(), "trace-matrix");
/** The copy of dist/ that the cases run, below node_modules so that packages are found: a build meanwhile does not disturb it. */
const COPY = join("node_modules", `.matrix-${process.pid}`);

/** Columns of a case's name. */
const NAME = 16;

/** Milliseconds that the folder of a failed case is kept. */
const KEPT = 24 * 3600 * 1000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: "boolean" }, steps: { type: "string" } },
});
process.exitCode = values.list === true ? list() : await main();

function list(): number {
  for (const { name, suite, kernelSuite } of CASES)
    print(`${name.padEnd(NAME)}  ${suite.padEnd(9)}  ${kernelSuite === null ? "chroot" : "machine"}`);
  print("kernel-5.10+0.23: that kernel with this bpftrace; any two of the above");
  return 0;
}

async function main(): Promise<number> {
  const steps = STEPS.filter((step) => values.steps === undefined || values.steps.split(",").includes(step));
  const unknown = positionals.find((name) => findCase(name) === undefined);
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
  process.on("exit", () => rmSync(join(ROOT, COPY), { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
  prepare();
  const cases = positionals.length === 0 ? CASES : positionals.flatMap((name) => findCase(name) ?? []);
  let failed = 0;
  print(`${"CASE".padEnd(NAME)}  STATE     TIME  VERSIONS: STEPS THAT PASSED`);
  for (const item of cases) if (!(await runCase(item, steps))) failed += 1;
  print(`${cases.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Builds what the cases run, and puts this Node where they find it. */
function prepare(): void {
  const built = spawnSync(process.execPath, [join(ROOT, "src", "bootstrap", "build.mjs")], {
    stdio: "inherit",
  });
  if (built.status !== 0) process.exit(1);
  cpSync(join(ROOT, "dist"), join(ROOT, COPY), { recursive: true });
  removeOldFailures();
  const node = join(CACHE, "bin", "node");
  mkdirSync(join(CACHE, "bin"), { recursive: true });
  if (!existsSync(node) || statSync(node).size !== statSync(process.execPath).size) {
    copyFileSync(process.execPath, node);
  }
}

/** The folders of failed cases are for whoever is at work on them: the next day's run removes them. */
function removeOldFailures(): void {
  for (const name of existsSync(CACHE) ? readdirSync(CACHE) : []) {
    // NAME.XXXXXX, as mkdtemp makes it.
    const isCase = findCase(name.replace(/\.\w{6}$/, "")) !== undefined;
    const folder = join(CACHE, name);
    if (isCase && Date.now() - statSync(folder).mtimeMs > KEPT) rmSync(folder, { recursive: true });
  }
}

/** Runs a case and tells it; true when it passed. The recordings of one that passed are kept where TRACE_MATRIX_KEEP says. */
async function runCase({ name, suite, kernelSuite }: MatrixCase, steps: readonly Step[]): Promise<boolean> {
  const folder = mkdtempSync(join(CACHE, `${name}.`));
  const started = Date.now();
  const code = await run(join(HERE, kernelSuite === null ? "root.sh" : "vm.sh"), [
    CACHE,
    suite,
    ...(kernelSuite === null ? [] : [kernelSuite]),
    ROOT,
    folder,
    join(HERE, "guest.sh"),
    join(COPY, "src", "cli.js"),
    ...steps,
  ]);
  const problems =
    code === 0 ? [] : [`${kernelSuite === null ? "chroot" : "machine"} ended with ${String(code)}`];
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
    `${name.padEnd(NAME)}  ${state.padEnd(6)}  ${String(seconds).padStart(4)} s  ${versions}: ${passed.join(", ")}`,
  );
  for (const problem of problems) print(`    ${problem}`);
  const keep = process.env["TRACE_MATRIX_KEEP"];
  if (keep !== undefined) cpSync(folder, join(keep, name), { recursive: true });
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
