import { defineTableProbe } from "../../src/probe/table.ts";

// Copy this folder to probes/NAME, rename `_template` here and _template.bt, and `trace NAME` runs it: docs/writing-a-probe.md.
export default defineTableProbe({
  name: "_template",
  summary: "which programs are started, how often, by which user",
  description:
    "Counts program starts (execve) by user and name: a shell script that starts a thousand processes shows here.",
  // The first alternative whose points this kernel has is taken; later ones may know less and say what they lack.
  attach: [{ points: ["tracepoint:sched:sched_process_exec"] }],
  filters: ["pid", "comm"],
  // The map of the .bt file that is read, the parts of its key in order (text only as the last one), and what it counts.
  map: "@starts",
  key: [
    { name: "uid", type: "number", header: "USER", description: "numeric user id" },
    { name: "comm", type: "text", header: "PROGRAM", description: "the program's name, at most 15 bytes" },
  ],
  value: { name: "starts", type: "count", header: "STARTS", description: "how often it was started" },
});
