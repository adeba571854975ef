import { defineProbe } from "../../src/probe/define.ts";
import { OPTIONS } from "./options.ts";
import { prepareProfile } from "./program.ts";
import { runProfile } from "./run.ts";

export default defineProbe({
  name: "profile",
  summary: "where does CPU time go (kernel + user), as a flame graph",
  description: `Looks 99 times a second on every CPU at what runs there, and keeps kernel and user stacks in the order of time.
User functions are named by trace itself while the processes live: ELF symbols, also in containers, and perf maps of compilers
(node --perf-basic-prof, Java agents).`,
  filters: ["pid", "comm", "cgroup"],
  options: OPTIONS,
  attach: [{ points: ["profile"] }],
  // Stacks of callers that were told (`@told` in profile.bt); where it is full they are told again each time.
  mapKeys: 65_536,
  evidence: ["cpu"],
  prepare: prepareProfile,
  run: runProfile,
});
