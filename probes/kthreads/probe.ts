import { defineProbe } from "../../src/probe/define.ts";
import { HZ_OPTION } from "../../src/probe/hz.ts";
import { prepareKthreads } from "./program.ts";
import { runKthreads } from "./run.ts";

export default defineProbe({
  name: "kthreads",
  summary: "which kernel threads are busy, what each is for, on what they spend the time",
  description: `Takes CPU time and context switches of every kernel thread from /proc, samples their stacks, and times what they work on: softirqs and
network devices for ksoftirqd, work functions for kworker, wake-ups for kswapd, commits for jbd2.`,
  filters: ["pid", "comm"],
  options: [HZ_OPTION],
  attach: [{ points: ["profile"] }],
  mapKeys: 16_384,
  evidence: ["kthreads"],
  prepare: prepareKthreads,
  run: runKthreads,
});
