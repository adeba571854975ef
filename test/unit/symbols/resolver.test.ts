import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chownSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { frameInRegion } from "../../../src/symbols/address-space.ts";
import { DEFAULT_LIMITS, type SymbolLimits } from "../../../src/symbols/limits.ts";
import { ModuleCache } from "../../../src/symbols/module-cache.ts";
import { readFromBuffer } from "../../../src/symbols/byte-source.ts";
import { readElfHead } from "../../../src/symbols/elf.ts";
import { createResolver, type Resolver } from "../../../src/symbols/resolver.ts";
import { TracedProcess } from "../../../src/symbols/traced-process.ts";
import { ProcFolder } from "./make-proc.ts";

const BASE = 0x555500000000;
const JIT = 0x7f0000000000;
// From fixtures/symbols/pie.nm.
const HIDDEN_STEP = 0x73a;
const MAIN = 0x74a;
const BUILD_ID = "/usr/lib/debug/.build-id";

let proc: ProcFolder;
const resolvers: Resolver[] = [];

function create(limits: Partial<SymbolLimits> = {}): Resolver {
  const resolver = createResolver({ procRoot: proc.path, limits: { rereadSeconds: 0.01, ...limits } });
  resolvers.push(resolver);
  return resolver;
}

beforeEach(() => {
  proc = new ProcFolder();
});

afterEach(() => {
  for (const resolver of resolvers.splice(0)) resolver.close();
  proc.remove();
});

/** Process 7 runs the fixture `pie` at BASE. */
function startPie(pid = 7, program = 1): void {
  proc.install(pid, "pie", "/srv/pie");
  proc.write(pid, { program, mappings: [{ start: BASE, path: "/srv/pie" }] });
}

describe("a process that runs an ELF file", () => {
  it("has its functions named, also after it has ended", async () => {
    startPie();
    const resolver = create();
    await resolver.notice(7);
    proc.end(7);
    expect(resolver.resolve(7, BASE + HIDDEN_STEP + 2)).toEqual({
      name: "hidden_step",
      module: "pie",
      kind: "symbol",
    });
    expect(resolver.resolve(7, BASE + MAIN)).toMatchObject({ name: "main" });
    await resolver.notice(7, { addresses: [1] });
    expect(resolver.resolve(7, BASE + MAIN)).toMatchObject({ name: "main" });
  });

  it("has the call named by a return address, not what stands behind the call", async () => {
    startPie();
    const resolver = create();
    await resolver.notice(7);
    const names = resolver
      .resolveStack(7, [BASE + MAIN, BASE + MAIN, BASE + MAIN + 1])
      .map((frame) => frame.name);
    expect(names).toEqual(["main", "hidden_step", "main"]);
  });

  it("has what is between functions shown by the module's own address", async () => {
    proc.install(7, "exec", "/srv/exec");
    proc.write(7, { mappings: [{ start: 0x400000, path: "/srv/exec" }] });
    const resolver = create();
    await resolver.notice(7);
    expect(resolver.resolve(7, 0x400002)).toEqual({
      name: "[exec]+0x400002",
      module: "exec",
      kind: "module-offset",
    });
    expect(resolver.resolve(7, 0x4005f7)).toMatchObject({ name: "hidden_step" });
  });

  it("shares what was read with other processes of the same file", async () => {
    startPie();
    const resolver = create();
    await resolver.notice(7);
    proc.write(7, { program: 2, mappings: [{ start: 0x1000, path: "/srv/pie" }] });
    await resolver.notice(7, { comm: "other", addresses: [0x1000 + MAIN] });
    const [before, after] = [resolver.resolve(7, BASE + MAIN, 0), resolver.resolve(7, 0x1000 + MAIN, 1)];
    expect(after).toBe(before);
    expect(resolver.counts()).toMatchObject({ modules: 1, read: 1, skipped: 0 });
  });

  it("is not believed about a file that is another one by now", async () => {
    proc.install(7, "pie", "/srv/pie");
    proc.write(7, { mappings: [{ start: BASE, path: "/srv/pie", inode: 1 }] });
    const resolver = create();
    await resolver.notice(7);
    expect(resolver.resolve(7, BASE + MAIN)).toEqual({
      name: "[pie]+0x74a",
      module: "pie",
      kind: "module-offset",
    });
  });

  it("has a deleted file read by way of map_files", async () => {
    proc.install(7, "pie", "/elsewhere");
    proc.write(7, { mappings: [{ start: BASE, path: "/srv/pie (deleted)", inode: 5 }] });
    mkdirSync(join(proc.path, "7/map_files"));
    symlinkSync(
      proc.inRoot(7, "/elsewhere"),
      join(proc.path, `7/map_files/${BASE.toString(16)}-${(BASE + 0x1000).toString(16)}`),
    );
    const resolver = create();
    await resolver.notice(7);
    expect(resolver.resolve(7, BASE + MAIN)).toMatchObject({ name: "main", module: "pie" });
  });

  it("that was put into memory is read, and a compiler's code there is not taken for one", async () => {
    proc.install(7, "pie", "/elsewhere");
    writeFileSync(proc.inRoot(7, "/code"), "no ELF file");
    proc.write(7, {
      mappings: [
        { start: BASE, path: "/memfd:program (deleted)", inode: 5 },
        { start: JIT, path: "/memfd:doublemapper (deleted)", inode: 6, perms: "r-xs" },
      ],
    });
    mkdirSync(join(proc.path, "7/map_files"));
    for (const [start, path] of [
      [BASE, "/elsewhere"],
      [JIT, "/code"],
    ] as const)
      symlinkSync(
        proc.inRoot(7, path),
        join(proc.path, `7/map_files/${start.toString(16)}-${(start + 0x1000).toString(16)}`),
      );
    const resolver = create();
    await resolver.notice(7);
    expect(resolver.resolve(7, BASE + MAIN)).toMatchObject({ name: "main", module: "memfd:program" });
    expect(resolver.resolve(7, JIT + 1)).toMatchObject({ name: "[jit]" });
  });

  it("cannot let us wait by a pipe where a file should be", async () => {
    execFileSync("mkfifo", [proc.inRoot(7, "/srv/pipe"), proc.inRoot(7, "/tmp/perf-1.map")]);
    proc.write(7, {
      mappings: [
        { start: BASE, path: "/srv/pipe" },
        { start: JIT, perms: "rwxp" },
      ],
    });
    const resolver = create({ noticeSeconds: 20 });
    await resolver.notice(7);
    expect(resolver.resolve(7, BASE + 1)).toMatchObject({ name: "[pipe]+0x1", kind: "module-offset" });
    expect(resolver.resolve(7, JIT + 1)).toMatchObject({ name: "[jit]" });
  });
});

async function resolveStripped(): Promise<string> {
  proc.install(7, "stripped", "/srv/tool");
  proc.write(7, { mappings: [{ start: BASE, path: "/srv/tool" }] });
  const resolver = create();
  await resolver.notice(7);
  return resolver.resolve(7, BASE + HIDDEN_STEP).name;
}

describe("a process that ended before it could be read", () => {
  const ELSEWHERE = BASE + 0x100000;

  it("has the code of one that was forked from the same memory", async () => {
    startPie();
    const resolver = create();
    await resolver.notice(7, { comm: "worker" });
    await resolver.notice(8, { comm: "worker", addresses: [BASE + MAIN] });
    expect(resolver.resolve(8, BASE + MAIN)).toEqual({ name: "main", module: "pie", kind: "symbol" });
    expect(resolver.resolve(8, ELSEWHERE)).toMatchObject({ name: "[unknown]" });
    expect(resolver.counts().unread).toBe(1);
  });

  it("keeps the maps that were read in time, and has the files opened that are still there", async () => {
    const path = fileURLToPath(new URL("../../../fixtures/symbols/pie", import.meta.url));
    proc.write(7, { mappings: [{ start: BASE, path, inode: statSync(path).ino }] });
    const waiting = { bytes: 0 };
    const process = new TracedProcess(7, {
      procRoot: proc.path,
      limits: DEFAULT_LIMITS,
      modules: new ModuleCache(DEFAULT_LIMITS),
      entries: { left: 0 },
      waiting,
      now: () => 0,
    });
    await process.look();
    expect(waiting.bytes).toBeGreaterThan(50);
    proc.end(7);
    await process.open();
    expect(waiting.bytes).toBe(0);
    expect(frameInRegion(process.spaces[0]!, 0, BASE + MAIN, null)).toMatchObject({ name: "main" });
    await process.look();
    await process.open();
    expect(process.spaces).toHaveLength(1);
    // When too much waits already, nothing is read before its turn.
    proc.write(7, { program: 2, mappings: [{ start: BASE, path, inode: statSync(path).ino }] });
    waiting.bytes = 1e9;
    await process.look();
    expect(waiting.bytes).toBe(1e9);
    await process.open();
    expect(process.spaces).toHaveLength(2);
    process.close();
  });

  it("has none of a program with another name, nor of one that is always at the same address", async () => {
    startPie();
    proc.install(9, "exec", "/srv/exec");
    proc.write(9, { mappings: [{ start: 0x400000, path: "/srv/exec" }] });
    const resolver = create();
    await resolver.notice(7, { comm: "worker" });
    await resolver.notice(9, { comm: "fixed" });
    await resolver.notice(8, { comm: "other" });
    await resolver.notice(10, { comm: "fixed" });
    expect(resolver.resolve(8, BASE + MAIN)).toMatchObject({ name: "[unknown]" });
    expect(resolver.resolve(9, 0x4005f7)).toMatchObject({ name: "hidden_step" });
    expect(resolver.resolve(10, 0x4005f7)).toMatchObject({ name: "[unknown]" });
  });
});

describe("separate debug files", () => {
  it("are not there: the frame keeps its place", async () => {
    expect(await resolveStripped()).toBe("[tool]+0x73a");
  });

  it.each(["/srv/pie.debug", "/srv/.debug/pie.debug", "/usr/lib/debug/srv/pie.debug"])(
    "are found by the debug link as %s",
    async (path) => {
      proc.install(7, "pie.debug", path);
      expect(await resolveStripped()).toBe("hidden_step");
    },
  );

  it("are found by build id", async () => {
    const pie = readFileSync(new URL("../../../fixtures/symbols/pie", import.meta.url));
    const buildId = readElfHead(readFromBuffer(pie))!.buildId!;
    proc.install(7, "pie.debug", `${BUILD_ID}/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`);
    expect(await resolveStripped()).toBe("hidden_step");
  });

  it("are refused when they belong to another program", async () => {
    proc.install(7, "exec", "/srv/pie.debug");
    expect(await resolveStripped()).toBe("[tool]+0x73a");
  });
});

describe("a process that changes", () => {
  it("keeps the names of the program it was before exec", async () => {
    startPie();
    const resolver = create();
    await resolver.notice(7, { comm: "pie" });
    expect(resolver.generation(7)).toBe(0);
    proc.install(7, "exec", "/srv/exec");
    proc.write(7, { program: 2, mappings: [{ start: BASE, path: "/srv/exec" }] });
    await resolver.notice(7, { comm: "pie" });
    expect(resolver.generation(7)).toBe(0);
    await resolver.notice(7, { comm: "exec" });
    expect(resolver.generation(7)).toBe(1);
    expect(resolver.resolve(7, BASE + MAIN, 0)).toMatchObject({ name: "main", module: "pie" });
    expect(resolver.resolve(7, BASE + 0x5f7, 1)).toMatchObject({ name: "hidden_step", module: "exec" });
    expect(resolver.resolve(7, BASE + 0x5f7)).toMatchObject({ module: "exec" });
  });

  it("has its maps read again when an address is in none of them", async () => {
    startPie();
    const resolver = create();
    await resolver.notice(7);
    proc.install(7, "stripped", "/lib/new.so");
    const mappings = [
      { start: 0x1000, path: "/lib/new.so" },
      { start: BASE, path: "/srv/pie" },
    ];
    proc.write(7, { mappings });
    await resolver.notice(7, { addresses: [BASE + MAIN] });
    expect(resolver.resolve(7, 0x1002)).toMatchObject({ name: "[unknown]", kind: "unknown" });
    await resolver.notice(7, { addresses: [0x1002] });
    expect(resolver.resolve(7, 0x1002)).toMatchObject({ name: "[new.so]+0x2" });
    expect(resolver.generation(7)).toBe(0);
    // What was unloaded since is still known.
    proc.write(7, { mappings: mappings.slice(1) });
    await resolver.notice(7, { addresses: [0x99000] });
    expect(resolver.resolve(7, 0x1002)).toMatchObject({ name: "[new.so]+0x2" });
  });

  it("is not read again at once for every address that leads nowhere", async () => {
    startPie();
    const limits = { rereadSeconds: 1000, noticeSeconds: 0.02 };
    const resolver = createResolver({ procRoot: proc.path, limits, now: () => 0 });
    resolvers.push(resolver);
    await resolver.notice(7);
    startPie(7, 2);
    await resolver.notice(7, { addresses: [1] });
    await resolver.notice(7, { addresses: [2] });
    expect(resolver.generation(7)).toBe(0);
    // The change was there to be seen.
    const quick = create();
    await quick.notice(7);
    startPie(7, 3);
    await quick.notice(7, { addresses: [1] });
    expect(quick.generation(7)).toBe(1);
  });
});

describe("code of JIT compilers", () => {
  const owner = process.getuid!() === 0 ? 4321 : process.getuid!();

  function writePerfMap(pid: number, lines: string, innerPid = 1): string {
    const path = proc.inRoot(pid, `/tmp/perf-${innerPid}.map`);
    writeFileSync(path, lines);
    chownSync(path, owner, process.getgid!());
    return path;
  }

  it("is named by the perf map under the pid that the process has in its container", async () => {
    writePerfMap(7, "7f0000000100 40 JS:*render /app/view.js:10:21\n", 33);
    proc.write(7, { uid: owner, innerPid: 33, mappings: [{ start: JIT, perms: "rwxp", path: "[anon:v8]" }] });
    const resolver = create();
    await resolver.notice(7);
    const frame = { name: "render", file: "/app/view.js", line: 10, module: "[jit]", kind: "jit" };
    expect(resolver.resolve(7, JIT + 0x13f)).toEqual(frame);
    expect(resolver.resolve(7, JIT + 0x140)).toEqual({ name: "[jit]", module: "[anon]", kind: "unknown" });
  });

  it("is read as it grows, also after the process has ended", async () => {
    const path = writePerfMap(7, "7f0000000100 40 one\n");
    proc.write(7, { uid: owner, mappings: [{ start: JIT, perms: "rwxp" }] });
    const resolver = create({ rereadSeconds: 0 });
    await resolver.notice(7);
    expect(resolver.resolve(7, JIT + 0x100).name).toBe("one");
    appendFileSync(path, "7f0000000200 40 two\n7f0000000100 40 instead\n");
    proc.end(7);
    const started = performance.now();
    // Sorted anew at most a tenth of the time.
    while (resolver.resolve(7, JIT + 0x200).name !== "two" && performance.now() - started < 5000);
    expect(resolver.resolve(7, JIT + 0x200).name).toBe("two");
    expect(resolver.resolve(7, JIT + 0x100).name).toBe("instead");
  });

  it("is not named by someone else's file, nor by a link", async () => {
    writePerfMap(7, "7f0000000100 40 forged\n");
    proc.write(7, { uid: owner + 1, mappings: [{ start: JIT, perms: "rwxp" }] });
    const target = writePerfMap(8, "7f0000000100 40 linked\n", 99);
    symlinkSync(target, proc.inRoot(8, "/tmp/perf-1.map"));
    proc.write(8, { uid: owner, mappings: [{ start: JIT, perms: "rwxp" }] });
    const resolver = create();
    await Promise.all([resolver.notice(7), resolver.notice(8)]);
    expect(resolver.resolve(7, JIT + 0x100).name).toBe("[jit]");
    expect(resolver.resolve(8, JIT + 0x100).name).toBe("[jit]");
  });
});

describe("places that are no code", () => {
  it("have names, never bare addresses", async () => {
    proc.write(7, {
      mappings: [
        { start: 0x10000, perms: "rw-p", path: "[heap]" },
        { start: 0x20000, perms: "rw-p" },
        { start: 0x30000, perms: "r-xp" },
        { start: 0x40000, perms: "rw-p", path: "[stack]" },
        { start: 0x50000, perms: "r-xp", path: "[vdso]" },
      ],
    });
    const resolver = create();
    await resolver.notice(7);
    const nameAt = (address: number) => resolver.resolve(7, address).name;
    expect([0x10001, 0x20001, 0x30001, 0x40001].map(nameAt)).toEqual([
      "[heap]",
      "[anon]",
      "[jit]",
      "[stack]",
    ]);
    expect(nameAt(0x50010)).toMatch(/^\[vdso\]\+0x10$|^[a-z_]+$/);
    expect([0x60000, 0, -1, Number.NaN, Number.MAX_VALUE].map(nameAt)).toEqual(
      Array.from({ length: 5 }, () => "[unknown]"),
    );
    expect(nameAt(Number(0xffffffffff600400n))).toBe("[vsyscall]");
    expect(resolver.resolve(8, 0x10001)).toEqual({ name: "[unknown]", module: "[unknown]", kind: "unknown" });
    expect(resolver.resolveStack(8, [])).toEqual([]);
  });
});

describe("limits", () => {
  it("ends waiting for a process whose maps cannot be read", async () => {
    startPie();
    const maps = join(proc.path, "7/maps");
    rmSync(maps);
    execFileSync("mkfifo", [maps]);
    const resolver = create({ noticeSeconds: 0.05 });
    await resolver.notice(7);
    expect(resolver.resolve(7, BASE + MAIN).name).toBe("[unknown]");
    expect(resolver.counts()).toMatchObject({ processes: 1, unread: 1 });
    // Lets the thread go that waits in open(2).
    closeSync(openSync(maps, constants.O_RDWR | constants.O_NONBLOCK));
  });

  it("forgets the processes not seen for longest", async () => {
    const resolver = create({ processes: 2 });
    for (const pid of [7, 8, 9]) startPie(pid);
    await resolver.notice(7);
    await resolver.notice(8);
    await resolver.notice(7);
    await resolver.notice(9);
    expect([7, 8, 9].map((pid) => resolver.generation(pid))).toEqual([0, null, 0]);
    expect(resolver.counts()).toMatchObject({ processes: 2, forgotten: 1 });
  });

  it("leaves out symbols that the memory is not enough for, and counts that", async () => {
    startPie();
    const resolver = create({ totalBytes: 0 });
    await resolver.notice(7);
    expect(resolver.resolve(7, BASE + MAIN).name).toBe("[pie]+0x74a");
    expect(resolver.counts()).toMatchObject({ read: 0, skipped: 1 });
  });

  it("reads symbols early rather than hold too many files open", async () => {
    const fixtures = ["pie", "exec", "exec32"];
    for (const fixture of fixtures) proc.install(7, fixture, `/srv/${fixture}`);
    proc.write(7, {
      mappings: fixtures.map((fixture, i) => ({ start: 0x10000 * (i + 1), path: `/srv/${fixture}` })),
    });
    const resolver = create({ openFiles: 1 });
    await resolver.notice(7);
    expect(resolver.counts()).toMatchObject({ modules: 3, read: 2 });
    expect(resolver.resolve(7, 0x10000 + MAIN).name).toBe("main");
    expect(resolver.resolve(7, 0x20000 + 0x5f7).name).toBe("hidden_step");
  });
});
