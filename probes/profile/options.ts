import type { OptionSpec } from "../../src/probe/define.ts";
import { HZ_OPTION } from "../../src/probe/hz.ts";

export const OPTIONS: readonly OptionSpec[] = [
  HZ_OPTION,
  { name: "user", flags: "--user", description: "only samples taken in user mode" },
  {
    name: "kernel",
    flags: "--kernel",
    description: "only samples taken in the kernel, and only its part of the stacks",
  },
  { name: "idle", flags: "--idle", description: "idle time too, as gaps" },
];
