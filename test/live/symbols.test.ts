import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createResolver, type Resolver } from "../../src/symbols/resolver.ts";

const hasTool = (tool: string): boolean => spawnSync(tool, ["--version"]).status === 0;
const hasCompiler = hasTool("g++") && hasTool("nm") && hasTool("objcopy");
const isRoot = process.getuid!() === 0;

const PROGRAM = `
#include <cstdio>
#include <unistd.h>
namespace shop {
  struct Cart { int sum; __attribute__((noinline)) int total(int x) { return sum * x + getpid(); } };
  template <typename T> __attribute__((noinline)) T fold(T x) { return x * x + getpid(); }
  static __attribute__((noinline)) int hidden(int x) { return x - getpid(); }
}
int main() {
  shop::Cart cart{3};
  int sum = cart.total(2) + shop::fold<int>(4) + shop::hidden(1) + (int)shop::fold<double>(2.5);
  puts("ready");
  fflush(stdout);
  char c;
  return read(0, &c, 1) > 5 ? sum : 0;
}
`;
const FUNCTIONS = new Map([
  ["_ZN4shop4Cart5totalEi", "shop::Cart::total(int)"],
  ["_ZN4shop4foldIiEET_S1_", "shop::fold<int>(int)"],
  ["_ZN4shop4foldIdEET_S1_", "shop::fold<double>(double)"],
  ["_ZN4shopL6hiddenEi", "shop::hidden(int)"],
  ["main", "main"],
]);

const SCRIPT = `
function burnCycles(n) { let s = 0; for (let i = 0; i < n; i++) s += Math.sqrt(i) % 7; return s; }
let sum = 0;
for (let i = 0; i < 3000; i++) sum += burnCycles(2000);
console.log("ready");
process.stdin.resume();
`;

let folder: string;
let resolver: Resolver;
const children: ChildProcess[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-live-symbols-"));
  writeFileSync(join(folder, "program.cpp"), PROGRAM);
  writeFileSync(join(folder, "burn it.cjs"), SCRIPT);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

afterEach(async () => {
  resolver.close();
  for (const child of children.splice(0)) await stop(child);
});

/** Starts a program and waits for its first line. */
async function start(command: string, args: readonly string[]): Promise<ChildProcess> {
  resolver = createResolver();
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], cwd: folder });
  children.push(child);
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`${command} ended with ${String(code)} before it was ready`);
  });
  await Promise.race([once(child.stdout, "data"), ended]);
  ended.catch(() => {});
  return child;
}

/** Ends a program that waits for its standard input. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.stdin?.end();
  await once(child, "exit");
}

function compile(name: string, flags: readonly string[]): string {
  const output = join(folder, name);
  const { status, stderr } = spawnSync("g++", ["-O1", ...flags, "-o", output, join(folder, "program.cpp")]);
  if (status !== 0) throw new Error(stderr.toString());
  return output;
}

/** Mangled name → address in the file, by nm. */
function readSymbols(file: string): Map<string, number> {
  const lines = spawnSync("nm", [file], { maxBuffer: 1 << 28 })
    .stdout.toString()
    .split("\n");
  const found = lines
    .map((line) => /^([0-9a-f]+) [TtWw] (\S+)$/.exec(line))
    .filter((match) => match !== null);
  return new Map(found.map((match) => [match[2]!, Number.parseInt(match[1]!, 16)]));
}

/** Where a file begins in a process; 0 for a file that is linked at fixed addresses. */
function findBias(pid: number, path: string, fixed: boolean): number {
  const lines = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n");
  const first = lines.find((line) => line.includes(path))!;
  return fixed ? 0 : Number.parseInt(first, 16);
}

describe.skipIf(!hasCompiler)("a C++ program", () => {
  it.each([
    ["pie", ["-pie", "-fPIE"], false],
    ["fixed", ["-no-pie"], true],
    ["static", ["-static"], true],
  ] as const)("built as %s has its functions named as nm has them", async (name, flags, fixed) => {
    const path = compile(name, flags);
    const symbols = readSymbols(path);
    const child = await start(path, []);
    const bias = findBias(child.pid!, path, fixed);
    await resolver.notice(child.pid!);
    await stop(child);
    for (const [mangled, readable] of FUNCTIONS) {
      const address = bias + symbols.get(mangled)!;
      expect(resolver.resolve(child.pid!, address)).toEqual({ name: readable, module: name, kind: "symbol" });
      expect(resolver.resolve(child.pid!, address + 2).name).toBe(readable);
    }
  });

  it("has its functions named by the separate debug file beside it", async () => {
    const path = compile("whole", []);
    const symbols = readSymbols(path);
    spawnSync("objcopy", ["--only-keep-debug", path, `${path}.debug`]);
    spawnSync("objcopy", [
      "--strip-all",
      `--add-gnu-debuglink=${path}.debug`,
      path,
      join(folder, "stripped"),
    ]);
    const child = await start(join(folder, "stripped"), []);
    const bias = findBias(child.pid!, join(folder, "stripped"), false);
    await resolver.notice(child.pid!);
    expect(resolver.resolve(child.pid!, bias + symbols.get("_ZN4shopL6hiddenEi")!).name).toBe(
      "shop::hidden(int)",
    );
  });

  it("without any symbols has each function shown once, by where it begins", async () => {
    const path = compile("bare", []);
    const symbols = readSymbols(path);
    spawnSync("strip", ["--strip-all", path]);
    const child = await start(path, []);
    const bias = findBias(child.pid!, path, false);
    await resolver.notice(child.pid!);
    for (const [mangled] of FUNCTIONS) {
      const begin = symbols.get(mangled)!;
      const name = `[bare]+0x${begin.toString(16)}`;
      for (const offset of [0, 1, 4])
        expect(resolver.resolve(child.pid!, bias + begin + offset)).toMatchObject({ name, kind: "function" });
    }
  });

  it.skipIf(!isRoot)("that was deleted while it ran is still read", async () => {
    const path = compile("short-lived", []);
    const symbols = readSymbols(path);
    const child = await start(path, []);
    const bias = findBias(child.pid!, path, false);
    rmSync(path);
    await resolver.notice(child.pid!);
    expect(resolver.resolve(child.pid!, bias + symbols.get("main")!)).toMatchObject({
      name: "main",
      module: "short-lived",
    });
  });

  it("started by exec is another generation of the same process", async () => {
    const path = compile("after-exec", []);
    const symbols = readSymbols(path);
    const child = await start("sh", ["-c", `echo before; read line; exec '${path}'`]);
    await resolver.notice(child.pid!, { comm: "sh" });
    const shell = findBias(child.pid!, "/", false);
    child.stdin!.write("\n");
    await once(child.stdout!, "data");
    const bias = findBias(child.pid!, path, false);
    const main = bias + symbols.get("main")!;
    await resolver.notice(child.pid!, { comm: "after-exec", addresses: [main] });
    expect(resolver.generation(child.pid!)).toBe(1);
    expect(resolver.resolve(child.pid!, main)).toMatchObject({ name: "main", module: "after-exec" });
    expect(resolver.resolve(child.pid!, main, 0).name).toBe("[unknown]");
    expect(resolver.resolve(child.pid!, shell, 0).module).not.toBe("after-exec");
  });
});

/** The code of a function in a perf map: its first and last address. */
function findInPerfMap(path: string, name: string): [number, number] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const line = lines.findLast((candidate) => candidate.includes(name))!;
  const [begin, size] = line.split(" ");
  return [Number.parseInt(begin!, 16), Number.parseInt(begin!, 16) + Number.parseInt(size!, 16) - 1];
}

describe("a Node script with --perf-basic-prof", () => {
  const frame = { name: "burnCycles", kind: "jit", module: "[jit]", line: 2 };

  it("has its JavaScript functions named, with file and line", async () => {
    const child = await start(process.execPath, ["--perf-basic-prof", "burn it.cjs"]);
    const map = `/tmp/perf-${child.pid!}.map`;
    await resolver.notice(child.pid!);
    const addresses = findInPerfMap(map, "burnCycles");
    await stop(child);
    for (const address of addresses) {
      expect(resolver.resolve(child.pid!, address)).toEqual({ ...frame, file: join(folder, "burn it.cjs") });
    }
    rmSync(map);
  });

  it.skipIf(!isRoot || !existsSync("/usr/bin/unshare"))(
    "also in a container with its own pids and /tmp",
    async () => {
      const { child, pid } = await startInContainer();
      await resolver.notice(pid);
      const map = `/proc/${pid}/root/tmp/perf-1.map`;
      const addresses = findInPerfMap(map, "burnCycles");
      child.stdin!.end();
      await once(child, "exit");
      expect(existsSync(map)).toBe(false);
      for (const address of addresses) {
        expect(resolver.resolve(pid, address)).toEqual({ ...frame, file: "/tmp/own/burn it.cjs" });
      }
    },
  );
});

/** The script as pid 1 of a pid namespace, with a /tmp that nobody else sees. Its pid out here is the child of unshare. */
async function startInContainer(): Promise<{ child: ChildProcess; pid: number }> {
  // The checkout, and Node with it, may itself be below /tmp.
  const inside = `cp '${folder}/burn it.cjs' /dev/shm/trace-burn.cjs &&
    mount --bind '${dirname(process.execPath)}' /mnt && mount -t tmpfs own /tmp && mkdir /tmp/own && mv /dev/shm/trace-burn.cjs '/tmp/own/burn it.cjs' &&
    exec /mnt/node --perf-basic-prof '/tmp/own/burn it.cjs'`;
  const child = await start("unshare", ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", inside]);
  const pids = readFileSync(`/proc/${child.pid!}/task/${child.pid!}/children`, "utf8");
  return { child, pid: Number(pids.trim()) };
}

describe("this process", () => {
  it("has the functions of the vDSO named", async () => {
    resolver = createResolver();
    await resolver.notice(process.pid);
    const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
    const vdso = lines.find((line) => line.endsWith("[vdso]"))!;
    const [begin, end] = vdso
      .split(" ")[0]!
      .split("-")
      .map((text) => Number.parseInt(text, 16));
    const names = new Set<string>();
    for (let address = begin!; address < end!; address += 16)
      names.add(resolver.resolve(process.pid, address).name);
    expect([...names].filter((name) => /clock_gettime|getcpu/.test(name)).length).toBeGreaterThan(0);
  });
});
