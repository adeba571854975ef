import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { constants, getPriority, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Document } from "./support/document.ts";
import { startIn, type Background } from "./support/background.ts";
import { sh } from "./support/shell.ts";
import { startTrace, type TraceRecord, type TraceResult } from "./support/trace.ts";
import { createWorld, type World } from "./support/world.ts";

const CLI = join(import.meta.dirname, "..", "..", "src", "cli.ts");
/** The CPU that receives the packets. */
const CPU = 1;
/** The kernel counts CPU time in these (getconf CLK_TCK). */
const TICKS_PER_SECOND = 100;
/** Rules that every packet is compared with: receiving has to take longer than sending. */
const RULES = 4000;

/** CPU time of ksoftirqd that is enough to see it. */
const WORK_SECONDS = 1.5;
const LONGEST_WORK_MS = 20_000;

/** Sends as fast as it can. */
const FLOOD = `use Socket; $| = 1; my $ip = shift;
socket(my $s, PF_INET, SOCK_DGRAM, 17) or die; connect($s, sockaddr_in(9999, inet_aton($ip))) or die;
print "ready\\n"; my $m = 'x' x 64; while (1) { send($s, $m, 0) }`;
/** Writes a little and waits until it is on the disk, again and again; now and then it has the kernel's workers write everything. */
const WRITER = `use IO::Handle; $| = 1; chdir shift or die; print "ready\\n"; my $i = 0;
while (1) {
  open(my $f, '>', 'log' . $i % 8) or die; print $f 'x' x 20000; $f->flush; $f->sync; close $f;
  if ($i++ % 10 == 0) { for (1..5) { open(my $d, '>', "big$_"); print $d 'y' x 200000; close $d } system('sync', '-f', '.') }
}`;

const folder = mkdtempSync(join(tmpdir(), "trace-live-kthreads-"));
const mount = join(folder, "disk");
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** CPU seconds of a thread by the kernel's own account. */
function readCpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Packets that the CPU took from its backlog and from devices: first column of its line (net/core/net-procfs.c). */
function readProcessed(): number {
  const line = readFileSync("/proc/net/softnet_stat", "latin1").split("\n")[CPU] ?? "";
  return Number.parseInt(line, 16);
}

/** Packets that the server's device received, by its own count. */
async function readReceived(): Promise<number> {
  return Number(await world.server.run("cat", `/sys/class/net/${world.server.dev}/statistics/rx_packets`));
}

/** Packets and writes until ksoftirqd has been seen at work for a while. */
async function makeWork(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  // In a group of its own: `sync` must not outlive it.
  writer = spawn("perl", ["-e", WRITER, mount], { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  stack.defer(async () => {
    process.kill(-(writer.pid ?? 0), "SIGKILL");
    await once(writer, "exit");
  });
  await once(writer.stdout ?? writer, "data");
  const senders: Background[] = [];
  for (let i = 0; i < 2; i++)
    senders.push(stack.use(await startIn(world.client, "perl", "-e", FLOOD, world.server.address)));
  // Whatever else runs here, the packets come and are received.
  const before = getPriority(ksoftirqd);
  setPriority(ksoftirqd, constants.priority.PRIORITY_HIGHEST);
  stack.defer(() => setPriority(ksoftirqd, before));
  for (const { child } of senders) setPriority(child.pid ?? 0, constants.priority.PRIORITY_ABOVE_NORMAL);
  const start = readCpuSeconds(ksoftirqd);
  const end = performance.now() + LONGEST_WORK_MS;
  while (readCpuSeconds(ksoftirqd) - start < WORK_SECONDS && performance.now() < end) await delay(50);
}

let result: TraceResult;
let document: Document;
let world: World;
let ksoftirqd = 0;
let writer: ChildProcess;
/** By the kernel's account, between `ready` and the end. */
const own = { cpuPercent: 0, processed: 0, received: 0 };

beforeAll(async () => {
  world = await createWorld();
  const stack = new AsyncDisposableStack();
  try {
    stack.use(world);
    // One CPU receives for all (RPS), and every packet takes it long.
    const queue = `/sys/class/net/${world.server.dev}/queues/rx-0/rps_cpus`;
    await world.server.run("sh", "-c", `echo ${(2 ** CPU).toString(16)} > ${queue}`);
    await loadRules(world);
    mkdirSync(mount);
    const image = join(folder, "image");
    await sh("truncate", "-s", "32M", image);
    await sh("mkfs.ext4", "-q", image);
    await sh("mount", "-o", "loop", image, mount);
    stack.defer(async () => void (await sh("umount", "--lazy", mount)));
    ksoftirqd = Number((await sh("pgrep", "-x", `ksoftirqd/${CPU}`)).trim());

    const run = stack.use(
      startTrace(["kthreads", "--record", join(folder, "all.trace.gz"), "-o", join(folder, "all.json")], {
        cwd: folder,
      }),
    );
    await run.ready();
    const received = await readReceived();
    const began = performance.now();
    const [cpu, processed] = [readCpuSeconds(ksoftirqd), readProcessed()];
    await makeWork();
    own.cpuPercent = (100_000 * (readCpuSeconds(ksoftirqd) - cpu)) / (performance.now() - began);
    own.processed = readProcessed() - processed;
    own.received = (await readReceived()) - received;
    result = await run.stop();
  } finally {
    await stack.disposeAsync();
  }
  document = JSON.parse(readFileSync(join(folder, "all.json"), "utf8")) as Document;
}, 90_000);

afterAll(() => rmSync(folder, { recursive: true }));

async function loadRules({ server }: World): Promise<void> {
  const rules = Array.from({ length: RULES }, (_, i) => `-A INPUT -s 10.99.${i >> 8}.${i & 255}/32 -j DROP`);
  const child = spawn("ip", ["netns", "exec", server.netns, "iptables-restore"], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  child.stdin.end(["*filter", ":INPUT ACCEPT [0:0]", ...rules, "COMMIT", ""].join("\n"));
  await once(child, "exit");
}

const threads = () => result.summary["threads"] as TraceRecord[];
const threadOf = (pid: number) => threads().find((thread) => thread["pid"] === pid);
const work = () => result.summary["work"] as Record<string, TraceRecord[]>;
const findings = () => result.summary["findings"] as TraceRecord[];

test("sums are exact: samples, threads, and both profiles of the whole", () => {
  const { summary, code } = result;
  expect(code).toBe(0);
  expect(summary["samples"]).toMatchObject({ kernel: 0, user: 0 });
  expect(summary["samples"].total).toBe(summary["samples"].kernelThreads);
  expect(summary["samples"].total).toBeGreaterThan(50);
  expect(sum(threads().map(({ samples }) => samples as number))).toBe(summary["samples"].total);
  const [seconds, counts, ...others] = document.profiles;
  expect(seconds).toMatchObject({ name: "all kernel threads", unit: "seconds" });
  expect(sum(counts?.weights ?? [])).toBe(summary["samples"].total);
  expect(sum(seconds?.weights ?? [])).toBeCloseTo(summary["cpuSeconds"], 6);
  expect(others.length).toBeGreaterThan(0);
});

test("a thread has its share of a CPU as /proc/PID/stat has it, its switches and its role", () => {
  const thread = threadOf(ksoftirqd);
  expect(thread).toMatchObject({ comm: `ksoftirqd/${CPU}`, subsystem: "core" });
  expect(thread?.["role"]).toContain("Finishes interrupt work");
  expect(thread?.["cpuPercent"]).toBeGreaterThan(20);
  expect(Math.abs(thread?.["cpuPercent"] - own.cpuPercent)).toBeLessThan(15);
  expect(thread?.["voluntarySwitches"] + thread?.["involuntarySwitches"]).toBeGreaterThan(0);
  // By samples too, within what a machine with other guests allows.
  const sampled = (100 * (thread?.["samples"] as number)) / result.summary["hz"] / result.summary["seconds"];
  expect(Math.abs(sampled - thread?.["cpuPercent"])).toBeLessThan(25);
  expect(threads().every(({ role }) => typeof role === "string")).toBe(true);
});

test("its time is by softirq vector, and drawn as thread, vector, stack", () => {
  const row = work()["softirqs"]?.find(({ vector, cpu }) => vector === "NET_RX" && cpu === CPU);
  const thread = threadOf(ksoftirqd);
  expect(row?.["ksoftirqd"].count).toBeGreaterThan(0);
  expect(row?.["ksoftirqd"].seconds).toBeGreaterThan(0.7 * thread?.["cpuSeconds"]);
  expect(row?.["ksoftirqd"].seconds).toBeLessThan(1.3 * thread?.["cpuSeconds"] + 0.1);
  const { frames } = document.shared;
  const [, counts] = document.profiles;
  const mine = (counts?.samples ?? [])
    .map((stack, index) => ({
      stack: stack.map((frame) => frames[frame]),
      weight: counts?.weights[index] ?? 0,
    }))
    .filter(({ stack: [root] }) => root?.name === `ksoftirqd/${CPU}`);
  const weigh = (list: typeof mine) => sum(list.map(({ weight }) => weight));
  expect(weigh(mine)).toBe(thread?.["samples"]);
  expect(mine[0]?.stack[0]?.file).toBe("[kernel thread]");
  const receiving = mine.filter(
    ({ stack: [, second] }) => second?.name === "NET_RX" && second.file === "[softirq]",
  );
  expect(weigh(receiving)).toBeGreaterThan(0.7 * weigh(mine));
  expect(receiving.some(({ stack }) => stack.some((frame) => frame?.name === "net_rx_action"))).toBe(true);
  expect(document.profiles.some(({ name }) => name.startsWith(`ksoftirqd/${CPU} [${ksoftirqd}]`))).toBe(true);
});

test("packets are counted by device as the kernel counts them", () => {
  const devices = work()["devices"] ?? [];
  expect(devices.find((row) => row["device"] === null)?.["byKsoftirqd"]).toBeGreaterThan(0);
  // Others' packets come by devices of their own.
  expect(sum(devices.map(({ packets }) => packets as number))).toBeGreaterThan(0.8 * own.processed);
  const receiver = work()["receivers"]?.find((row) => row["device"] === world.server.dev);
  expect(receiver?.["netns"]).toBe(world.server.netns);
  expect(receiver?.["packets"]).toBeGreaterThan(0.8 * own.received);
  expect(receiver?.["packets"]).toBeLessThan(1.2 * own.received);
});

test("a ksoftirqd that takes a CPU is a finding: vector, device, packets a second, and how to spread them", () => {
  const finding = findings().find(({ id, summary }) => id === "ksoftirqd" && /ksoftirqd\/1/.test(summary));
  expect(finding?.["severity"]).toMatch(/^(?:problem|suspicious)$/);
  expect(finding?.["summary"]).toContain("NET_RX");
  expect(finding?.["summary"]).toContain(world.server.dev);
  expect(finding?.["summary"]).toMatch(/packets\/s/);
  expect(finding?.["fix"].join("\n")).toContain(`ip netns exec ${world.server.netns} `);
  expect(finding?.["fix"].join("\n")).toContain("rps_cpus");
});

test("the journal's thread has its disk, its commits, and who asked for them", () => {
  const commit = work()["commits"]?.find((row) => row["disk"]?.path === mount);
  expect(commit?.["count"]).toBeGreaterThan(3);
  expect(commit?.["fsyncs"][0]).toMatchObject({ pid: writer.pid, comm: "perl" });
  const thread = threads().find(({ comm }) => (comm as string).startsWith("jbd2/loop"));
  expect(thread?.["role"]).toContain(`mounted at ${mount}`);
});

test("workers are known by their work functions", () => {
  const functions = work()["functions"] ?? [];
  const writeback = functions.find(({ name }) => name === "wb_workfn");
  expect(writeback?.["count"]).toBeGreaterThan(0);
  expect(writeback?.["threads"].length).toBeGreaterThan(0);
  for (const { name } of functions) expect(name).toMatch(/^[\w.]+(?: \[\w+\])?$/);
});

test("its recording gives the same report and, byte for byte, the same profile", async () => {
  const again = join(folder, "again.json");
  const text = await sh(
    process.execPath,
    CLI,
    "replay",
    join(folder, "all.trace.gz"),
    "--format",
    "json",
    "-o",
    again,
  );
  const replayed = JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") as TraceRecord;
  expect({ ...replayed, profile: null }).toEqual({ ...result.summary, profile: null });
  expect(readFileSync(again).equals(readFileSync(join(folder, "all.json")))).toBe(true);
});

test("a thread that does nothing is told so, and is no finding", async () => {
  const { code, summary } = await startTrace(["kthreads", "-d", "500ms", "--pid", "2", "--no-profile"]).done;
  expect(code).toBe(0);
  expect(summary["threads"]).toMatchObject([{ pid: 2, comm: "kthreadd" }]);
  expect(summary["findings"]).toEqual([]);
  expect(summary["work"]).toMatchObject({ softirqs: [], devices: [], functions: [], commits: [] });
});
