import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMemoryCgroups, parsePressure } from "../../../src/session/memory-cgroups.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "trace-cgroups-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function make(path: string, files: Readonly<Record<string, string>>): string {
  const folder = join(root, path);
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), `${text}\n`);
  return String(statSync(folder, { bigint: true }).ino);
}

describe("memory cgroups", () => {
  it("v2: a cgroup with what is above it, its swap and its pressure", async () => {
    make("shop", { "memory.max": "1000", "memory.swap.max": "max", "memory.swap.current": "7" });
    const pressure =
      "some avg10=1.50 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.25 avg60=0 avg300=0 total=1";
    const id = make("shop/api", { "memory.max": "max", "memory.pressure": pressure });
    expect(await createMemoryCgroups(root).find(`${id} 4711`)).toEqual([
      {
        path: "/shop/api",
        limitBytes: null,
        failcnt: null,
        swapBytes: null,
        swapLimitBytes: null,
        pressure: { some: 1.5, full: 0.25 },
      },
      { path: "/shop", limitBytes: 1000, failcnt: null, swapBytes: 7, swapLimitBytes: null, pressure: null },
    ]);
  });

  it("v1: failcnt; what is no limit is none", async () => {
    const id = make("job", { "memory.limit_in_bytes": "9223372036854771712", "memory.failcnt": "12" });
    expect(await createMemoryCgroups(root).find(id)).toMatchObject([
      { path: "/job", limitBytes: null, failcnt: 12 },
    ]);
  });

  it("a cgroup that is gone is known from the last look, with its limit", async () => {
    const id = make("gone", { "memory.max": "4096" });
    const cgroups = createMemoryCgroups(root);
    await cgroups.survey();
    rmSync(join(root, "gone"), { recursive: true });
    expect(await cgroups.find(id)).toMatchObject([{ path: "/gone", limitBytes: 4096, failcnt: null }]);
    expect(await cgroups.find("1")).toBeNull();
  });

  it("the tightest first; page cache that can go does not make one tight", async () => {
    make("cache", { "memory.max": "100", "memory.current": "99", "memory.stat": "anon 9\ninactive_file 90" });
    make("full", { "memory.max": "100", "memory.current": "80", "memory.stat": "inactive_file 0" });
    make("free", { "memory.max": "max", "memory.current": "500" });
    expect(await createMemoryCgroups(root).survey()).toEqual([
      { path: "/full", limitBytes: 100, usageBytes: 80, workingSetBytes: 80 },
      { path: "/cache", limitBytes: 100, usageBytes: 99, workingSetBytes: 9 },
    ]);
  });

  it("nothing without a memory controller, no pressure where PSI is off", async () => {
    const cgroups = createMemoryCgroups(null);
    expect([await cgroups.find("1"), await cgroups.survey(), parsePressure("")]).toEqual([null, null, null]);
  });
});
