import type { Block } from "../../src/probe/report.ts";
import type { PathStep } from "../../src/profile/samples/top.ts";
import { percent } from "./live.ts";

/** Most rows of the drawn path. */
const ROWS = 18;
const BAR = 24;
/** Frames that hand on at least this part of their time are one run: of a long one only the ends are shown. */
const SAME = 0.98;
const LONGEST_WHOLE_RUN = 3;

type Row = PathStep | { readonly hidden: number };

/** The stack with most samples as bars, root first: a flame graph of one path. `total`: all samples. */
export function drawPath(path: readonly PathStep[], total: number): Block[] {
  if (path.length === 0 || total === 0) return [];
  const rows = limitRows(path).map((row) =>
    "hidden" in row
      ? ["", "", `… ${row.hidden} more`]
      : [
          percent(row.count / total),
          "█".repeat(Math.max(1, Math.round((BAR * row.count) / total))),
          row.frame.name,
        ],
  );
  return [
    {
      kind: "table",
      title: "The hottest path, root first",
      columns: [{ header: "TOTAL", align: "right" }, { header: "" }, { header: "FUNCTION", shrink: 1 }],
      rows,
    },
  ];
}

/** Long runs of frames that only hand on are cut short; if that is not enough, the middle goes. */
function limitRows(path: readonly PathStep[]): Row[] {
  const rows: Row[] = [];
  let run: PathStep[] = [];
  const flush = () => {
    const [first, last] = [run[0], run.at(-1)];
    if (run.length <= LONGEST_WHOLE_RUN || first === undefined || last === undefined) rows.push(...run);
    else rows.push(first, { hidden: run.length - 2 }, last);
    run = [];
  };
  for (const step of path) {
    if (run[0] !== undefined && step.count < SAME * run[0].count) flush();
    run.push(step);
  }
  flush();
  if (rows.length <= ROWS) return rows;
  const head = rows.slice(0, ROWS / 2 - 1);
  const tail = rows.slice(rows.length - ROWS / 2);
  const hidden = rows
    .slice(head.length, rows.length - tail.length)
    .reduce((sum, row) => sum + ("hidden" in row ? row.hidden : 1), 0);
  return [...head, { hidden }, ...tail];
}
