import { roleOf } from "../threads.ts";
import { checksOf, makeFinding, type Find } from "./shared.ts";

/** Any kernel thread that takes half a CPU is worth a word. */
const NOTED = 50;

/** Kernel threads that are busy and have not been explained yet. */
export const findOthers: Find = ({ threads }, told) => {
  return threads
    .filter((thread) => thread.cpuPercent >= NOTED && !told.has(thread))
    .map((thread) =>
      makeFinding({
        id: "kernel-thread",
        severity: "suspicious",
        summary: `${thread.name} takes ${thread.cpuPercent.toFixed(0)} % of a CPU${thread.described === null ? "" : `: ${thread.described.busyMeans}`}`,
        count: thread.samples,
        evidence: [roleOf(thread) ?? "the catalogue does not know this thread; its stack is in the profile"],
        check: checksOf(thread),
        fix: [],
      }),
    );
};
