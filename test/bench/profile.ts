import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { availableParallelism, setPriority } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { startTrace } from "../live/support/trace.ts";

/** As many samples a second as 64 CPUs make at 99 Hz. */
const SAMPLES_PER_SECOND = 99 * 64;
const SECONDS = 4;
const WARM_UP_SECONDS = 2;
const IDLE_SECONDS = 5;
/** Share of one CPU for a thousand samples a second, trace and bpftrace together. */
const WANTED = 0.05;
/** Share of one CPU for a probe that waits. */
const WANTED_IDLE = 0.02;
/** The kernel counts CPU time in these (getconf CLK_TCK; 100 on every Linux of today's). */
const TICKS_PER_SECOND = 100;

/** The name of the busy programs, so that nothing else on the machine is counted. */
const NAME = "trace-bench";
/** Below what trace gives itself (src/session/live.ts). */
const NICENESS = -8;
/** A compiler's functions and system calls, twenty frames deep, like a server's. */
const BUSY = `
process.title = "${NAME}";
const { statSync } = require("fs");
const work = (n) => { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s; };
const depth = (n, left) => (left === 0 ? work(20000) + work(10000) : 1 + depth(n, left - 1));
console.log("ready");
for (let i = 0; ; i++) { depth(i, 8 + (i % 8)); statSync("/"); }
`;

/**
 * What `trace profile` costs: CPU time of trace and bpftrace together while every CPU is busy, at the sampling rate that makes as many
 * samples as 64 CPUs at 99 Hz; and what a probe costs that has nothing to tell. Needs root. Returns whether both goals are met and
 * nothing was lost.
 */
export async function benchProfile(print: (line: string) => void): Promise<boolean> {
  const cpus = availableParallelism();
  const hz = Math.ceil(SAMPLES_PER_SECOND / cpus);
  const busy = Array.from({ length: cpus }, () =>
    spawn(process.execPath, ["-e", BUSY], { stdio: ["ignore", "pipe", "ignore"] }),
  );
  let isGood = true;
  try {
    await Promise.all(busy.map((child) => once(child.stdout, "data")));
    // Whatever else the machine does, there is something to sample all the time.
    for (const { pid } of busy) if (pid !== undefined) setPriority(pid, NICENESS);
    await using run = startTrace(["profile", "--hz", String(hz), "--comm", NAME, "--no-profile"]);
    await run.ready();
    // The first seconds also compile trace's own functions and read symbol tables, once.
    await delay(WARM_UP_SECONDS * 1000);
    const cost = await measure(run.child.pid ?? 0, SECONDS);
    const { summary } = await run.stop();
    const rate = summary["samples"].total / summary["seconds"];
    const perThousand = (1000 * cost.total) / rate;
    isGood &&= perThousand <= WANTED && summary["lost"] === 0;
    print(
      `profile: ${rate.toFixed(0)} samples/s on ${cpus} CPUs cost ${percent(cost.total)} of a CPU (trace ${percent(cost.own)}, bpftrace ` +
        `${percent(cost.total - cost.own)}), ${percent(perThousand)} for 1,000 samples/s (wanted ${percent(WANTED)}); ${summary["lost"]} lost`,
    );
  } finally {
    await Promise.all(busy.map((child) => (child.kill("SIGKILL"), once(child, "exit"))));
  }
  await using idle = startTrace(["oom", "--no-profile"]);
  await idle.ready();
  const cost = await measure(idle.child.pid ?? 0, IDLE_SECONDS);
  await idle.stop();
  print(
    `profile: a probe that waits costs ${percent(cost.total)} of a CPU (trace ${percent(cost.own)}, bpftrace ${percent(cost.total - cost.own)}; ` +
      `wanted ${percent(WANTED_IDLE)})`,
  );
  return isGood && cost.total <= WANTED_IDLE;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** CPU time of a process and its children for some seconds, as a share of one CPU. */
async function measure(pid: number, seconds: number): Promise<{ own: number; total: number }> {
  const children = await listChildren(pid);
  const read = async () => {
    const [own = 0, ...others] = await Promise.all([pid, ...children].map(readCpuSeconds));
    return { at: performance.now() / 1000, own, total: others.reduce((sum, value) => sum + value, own) };
  };
  const before = await read();
  await delay(seconds * 1000);
  const after = await read();
  const elapsed = after.at - before.at;
  return { own: (after.own - before.own) / elapsed, total: (after.total - before.total) / elapsed };
}

async function listChildren(parent: number): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const stats = await Promise.all(pids.map(async (pid) => ({ pid, fields: await readStat(pid) })));
  return stats.filter(({ fields }) => Number(fields[1]) === parent).map(({ pid }) => pid);
}

async function readCpuSeconds(pid: number): Promise<number> {
  const fields = await readStat(pid);
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

/** Fields of /proc/PID/stat from the state on (proc(5): number 3); empty for one that has ended. */
async function readStat(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}
