import { EXIT, TraceError } from "../../src/error.ts";
import { defineProbe } from "../../src/probe/define.ts";
import { prepareOom } from "./program.ts";
import { runOom } from "./run.ts";
import { openSource } from "./source.ts";

export default defineProbe({
  name: "oom",
  summary: "who triggered an OOM kill, which limit, who was killed, who held the memory",
  description: `Waits for the kernel to kill for want of memory and tells, for every kill: who asked for memory, which limit was hit (a
memory cgroup's, a parent's, the host's), who was killed, who held the memory and who had grown. Joins the kernel's events with its log,
which is read along and never cleared. With --log, the same report from a saved log, without root and without bpftrace.`,
  filters: [],
  options: [
    {
      name: "log",
      flags: "--log <file>",
      description:
        "read an old kernel log instead: a file (dmesg, journalctl -k, syslog, gzip'ed too), - for standard input, or this host's dmesg or journal",
      parse(text) {
        if (text !== "") return text;
        throw new TraceError(EXIT.usage, "--log needs a file", { hint: "trace oom --log /var/log/kern.log" });
      },
    },
  ],
  attach: [
    { points: ["kprobe:oom_kill_process", "tracepoint:oom:mark_victim"] },
    { points: ["tracepoint:oom:mark_victim"] },
  ],
  evidence: ["memory-sample"],
  keepsLines: true,
  follows: [{ fact: "kernel-log", past: /Killed process|oom-kill:constraint=/ }],
  source: openSource,
  prepare: prepareOom,
  run: runOom,
});
