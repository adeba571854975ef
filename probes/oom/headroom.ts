import { figures, makeTable, words, type TableBlock } from "../../src/probe/columns.ts";
import { escapeText } from "../../src/text/escape.ts";
import type { SampleBook, TightCgroup } from "./samples.ts";
import { sizeCell } from "./words.ts";

type Headroom = Pick<SampleBook, "available" | "total" | "tightest" | "pressure">;

/** A cgroup fuller than this is worth a word while waiting. */
const TIGHT = 0.5;

function percent({ workingSetBytes, limitBytes }: TightCgroup): string {
  return `${String(Math.round((100 * workingSetBytes) / limitBytes))} %`;
}

/** "0 killed · 22.1 GiB of 23.5 GiB available · tightest /shop 92 % of 64.0 MiB". */
export function sayHeadroom(kills: number, { available, total, tightest, pressure }: Headroom): string {
  const first = tightest[0];
  const isTight = first !== undefined && first.workingSetBytes >= first.limitBytes * TIGHT;
  return [
    `${String(kills)} killed`,
    `${sizeCell(available)} of ${sizeCell(total)} available`,
    ...(pressure === null || pressure.some === 0 ? [] : [`waiting for memory ${pressure.some.toFixed(1)} %`]),
    ...(isTight
      ? [`tightest ${escapeText(first.path)} ${percent(first)} of ${sizeCell(first.limitBytes)}`]
      : []),
  ].join(" · ");
}

/** The cgroups nearest to their limits, for the page that waits for the first kill; null where none has a limit. */
export function tightTable({ tightest }: Headroom): TableBlock | null {
  if (tightest.length === 0) return null;
  return makeTable(tightest, [
    figures("FULL", percent),
    figures("LEFT", ({ limitBytes, workingSetBytes }) => sizeCell(Math.max(0, limitBytes - workingSetBytes))),
    figures("LIMIT", ({ limitBytes }) => sizeCell(limitBytes)),
    figures("PAGE CACHE", ({ usageBytes, workingSetBytes }) => sizeCell(usageBytes - workingSetBytes)),
    words("CGROUP", ({ path }) => path, { shrink: 1 }),
  ]);
}
