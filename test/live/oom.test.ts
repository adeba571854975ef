import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createRecordCheck } from "../support/schema.ts";
import { canLimit, createMemoryCgroup } from "./support/memory-cgroup.ts";
import { startTrace, type TraceRecord } from "./support/trace.ts";

const FIXTURES = join(import.meta.dirname, "..", "..", "fixtures", "oom");
const MIB = 1024 ** 2;
const LIMIT = 32 * MIB;
// A size that is not constant: perl would make the string before its first line runs.
const HOG = "$n = 90_000_000; $x = q(a) x $n; sleep 1";

const name = () => `/trace-test-${randomUUID().slice(0, 8)}`;
const kills = (records: readonly TraceRecord[]) => records.filter((record) => record.type === "oom");

test.runIf(canLimit)("a kill: whose limit, who asked, who died, who held the memory", async () => {
  await using cgroup = createMemoryCgroup(name(), LIMIT);
  await using run = startTrace(["oom", "--no-profile"]);
  await run.ready();
  const { pid, signal } = await cgroup.perl(
    `$0 = qq(a"b\\nc\\x1b[1m); select undef, undef, undef, 0.1; ${HOG}`,
  );
  expect(signal).toBe("SIGKILL");
  const kill = await run.until((record) => record.type === "oom" && record["victim"].pid === pid);
  expect(kill).toMatchObject({
    source: "live",
    scope: { kind: "memcg", cgroup: cgroup.path, limitBytes: LIMIT },
    invoker: { pid, tid: pid, order: 0, oomScoreAdj: 0, cgroup: cgroup.path },
    victim: { pid, comm: 'a"b\nc\u001b[1m', uid: 0, cgroup: cgroup.path, shmemRssBytes: 0 },
    gfpMeaning: expect.stringContaining("a page for a user process"),
  });
  expect(kill["scope"].usageBytes).toBeGreaterThan(LIMIT * 0.9);
  expect(kill["scope"].usageBytes).toBeLessThanOrEqual(LIMIT);
  expect(kill["victim"].anonRssBytes).toBeGreaterThan(LIMIT * 0.8);
  // It lived for a fraction of a second, between two looks: all it held is its growth.
  expect(kill["victim"].growthBytesPerSecond).toBeGreaterThan(MIB);
  expect(kill["stack"].at(-1)).toMatch(/^oom_kill_process(\.cold)?$/);
  expect(kill["stack"].join(" ")).toMatch(/mem_cgroup_out_of_memory/);
  // SIGKILLs of processes are told apart: a memory guard's, and any other's.
  const sleepers = [spawn("sleep", ["60"]), spawn("sleep", ["60"])];
  const [guarded, other] = sleepers.map((child) => child.pid);
  spawn("perl", ["-e", `$0 = "earlyoom"; kill 9, ${String(guarded)}`]);
  sleepers[1]?.kill("SIGKILL");
  const sent = (target: number | undefined) =>
    run.until((record) => record.type === "sigkill" && record["target"].pid === target);
  expect(await sent(guarded)).toMatchObject({
    guard: true,
    sender: { comm: "earlyoom" },
    target: { comm: "sleep" },
  });
  expect(await sent(other)).toMatchObject({ guard: false, sender: { pid: process.pid } });
  const { code, records, summary } = await run.stop();
  expect(code).toBe(0);
  expect(summary).toMatchObject({ type: "summary", byCgroup: { [cgroup.path]: 1 }, guardKills: 1 });
  const guards = summary["findings"].filter((finding: { id: string }) => finding.id === "userspace-killer");
  expect(guards).toMatchObject([{ count: 1 }]);
  const tight = records.findLast((record) => record.type === "interval")?.["tightest"];
  expect(tight).toContainEqual(expect.objectContaining({ cgroup: cgroup.path, limitBytes: LIMIT }));
  const check = await createRecordCheck("oom");
  for (const record of records) expect(check(record)).toEqual([]);
});

test.runIf(canLimit)(
  "a storm beyond the kernel's report limit: each kill once, each with its cgroup",
  async () => {
    await using cgroup = createMemoryCgroup(name(), LIMIT);
    await using run = startTrace(["oom", "--no-profile"]);
    await run.ready();
    const pids: number[] = [];
    for (let count = 0; count < 20; count += 1) pids.push((await cgroup.perl(HOG)).pid);
    const { records, summary } = await run.stop();
    const found = kills(records).filter((record) => pids.includes(record["victim"].pid));
    // Pids come in the order of the kills; each stands there once.
    expect(found).toHaveLength(20);
    expect(new Set(found.map((record) => record["victim"].pid))).toEqual(new Set(pids));
    for (const kill of found) {
      expect(kill).toMatchObject({
        source: "live",
        scope: { kind: "memcg", cgroup: cgroup.path, limitBytes: LIMIT },
        victim: { comm: "perl", cgroup: cgroup.path },
      });
    }
    expect(summary["byCgroup"][cgroup.path]).toBe(20);
    expect(summary["findings"].map((finding: { id: string }) => finding.id)).toContain("oom-crash-loop");
  },
);

test.runIf(canLimit)("a parent's limit: both cgroups are named; who had grown before the kill", async () => {
  await using parent = createMemoryCgroup(name(), 48 * MIB);
  const child = parent.child("inner");
  await using run = startTrace(["oom", "--no-profile"]);
  await run.ready();
  // 2 MiB every 0.2 s until the limit: 10 MiB a second.
  const hog = "for (;;) { push @x, q(a) x 2_097_152; select undef, undef, undef, 0.2 }";
  const { pid } = await child.perl(hog);
  const kill = await run.until((record) => record.type === "oom" && record["victim"].pid === pid);
  expect(kill["scope"]).toMatchObject({ kind: "memcg", cgroup: parent.path, limitBytes: 48 * MIB });
  expect(kill["victim"].cgroup).toBe(child.path);
  expect(kill["victim"].growthBytesPerSecond).toBeGreaterThan(3 * MIB);
  expect(kill["victim"].growthBytesPerSecond).toBeLessThan(30 * MIB);
  expect(kill["tasks"][0].growthBytesPerSecond).toBe(kill["victim"].growthBytesPerSecond);
});

test("--log: a saved log gives the same records without a tracer", async () => {
  const path = join(FIXTURES, "recorded", "6.12-v2-group.txt");
  await using run = startTrace(["oom", "--log", path, "--no-profile"], {
    env: { TRACE_BPFTRACE: "/nonexistent" },
  });
  const { code, records, summary } = await run.done;
  expect(code).toBe(0);
  expect(kills(records).map((record) => record["victim"].pid)).toEqual([204, 203, 205, 206, 207, 208]);
  expect(kills(records).every((record) => record["source"] === "log")).toBe(true);
  expect(summary["kills"]).toBe(6);
});

test("--log of a file that is not there: exit 2, no records", async () => {
  await using run = startTrace(["oom", "--log", "/nonexistent/kern.log", "--no-profile"]);
  const { code, records, stderr } = await run.done;
  expect(code).toBe(2);
  expect(records).toEqual([]);
  expect(stderr).toContain("there is no such file");
});
