import { plural } from "../../../src/text/format.ts";
import { checksOf, makeFinding, sum, type Find } from "./shared.ts";

/** One function that takes half of the workers' time and a tenth of a CPU is what they are busy with; half a CPU is a problem. */
const SHARE = 0.5;
const NOTED = 10;
const PROBLEM = 50;

/** One work function that dominates. */
export const findFunctions: Find = ({ work, hz, seconds }, told) => {
  const all = sum(work.functions.map((row) => row.samples));
  const [top] = work.functions;
  if (top === undefined || seconds <= 0) return [];
  const percent = (100 * top.samples) / hz / seconds;
  if (top.samples < SHARE * all || percent < NOTED) return [];
  for (const thread of top.threads) told.add(thread);
  const [thread] = top.threads;
  return [
    makeFinding({
      id: "work-function",
      severity: percent >= PROBLEM ? "problem" : "suspicious",
      summary: `Workers spend ${Math.round((100 * top.samples) / all)} % of their CPU time in one job, ${top.name}: ${percent.toFixed(0)} % of a CPU`,
      count: top.samples,
      evidence: [
        `${top.name} ran ${plural(top.count, "time")}, ${top.seconds.toFixed(2)} s from start to end, in ${plural(top.threads.length, "worker")}: ${top.threads
          .slice(0, 4)
          .map(({ name }) => name)
          .join(", ")}`,
        ...(thread?.described == null ? [] : [thread.described.busyMeans]),
      ],
      check: thread === undefined ? [] : checksOf(thread),
      fix: [],
    }),
  ];
};
