import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { stopSampling } from "../../src/launch/stop-sampling.ts";
import { sh } from "./support/shell.ts";

const PROGRAM = `tracepoint:syscalls:sys_enter_getppid /comm == "stop-sampling"/ { @calls = count(); }
profile:hz:99 { @ticks = count(); }
interval:ms:50 { if (@said == 0) { printf("ready\\n"); @said = 1; } }
interval:ms:100 { printf("alive\\n"); }`;

test("without samples of its tracepoint the program still sees every event, on the CPU of the perf event too, and timers go on", async () => {
  const child = spawn("bpftrace", ["-e", PROGRAM], { stdio: ["ignore", "pipe", "ignore"] });
  const lines: string[] = [];
  const over = once(child, "exit");
  try {
    const reader = createInterface({ input: child.stdout });
    const stopped: (number | null)[] = [];
    let wanted = Infinity;
    for await (const line of reader) {
      lines.push(line);
      if (line === "ready") {
        stopped.push(await stopSampling(child.pid ?? null));
        for (const cpu of ["0", String(availableParallelism() - 1)]) {
          await sh("taskset", "-c", cpu, "perl", "-e", `$0 = "stop-sampling"; getppid for 1 .. 5000`);
        }
        wanted = lines.length + 2;
      }
      // Two more signs of life: the timers are not among what was stopped.
      if (line === "alive" && lines.length >= wanted) child.kill("SIGTERM");
    }
    await over;
    expect(stopped).toEqual([1]);
    expect(lines).toContain("@calls: 10000");
    expect(lines.find((line) => line.startsWith("@ticks"))).toMatch(/: [1-9]/);
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await over;
    }
  }
});

test("a process that is gone, or none: nothing is stopped, and nothing is thrown", async () => {
  const child = spawn("true");
  await once(child, "exit");
  expect(await stopSampling(child.pid ?? null)).toBeNull();
  expect(await stopSampling(null)).toBeNull();
});
