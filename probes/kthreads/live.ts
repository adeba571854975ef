import type { KernelThreadEvidence } from "../../src/evidence/kthreads/types.ts";
import { figures, makeTable, words, type TableBlock } from "../../src/probe/columns.ts";
import { describeKernelThread } from "../../src/catalogue/load.ts";
import { formatCount } from "../../src/text/format.ts";

const ROWS = 12;

/** Kernel threads by samples so far. `sampled`: by thread id. */
export function liveTable(
  sampled: ReadonlyMap<number, { readonly comm: string; readonly samples: number }>,
  evidence: KernelThreadEvidence | null,
): TableBlock {
  const names = new Map((evidence?.threads ?? []).map(({ pid, name }) => [pid, name]));
  const rows = [...sampled]
    .map(([pid, { comm, samples }]) => ({ pid, samples, name: names.get(pid) ?? comm }))
    .sort((a, b) => b.samples - a.samples)
    .slice(0, ROWS);
  return makeTable(rows, [
    figures("SAMPLES", ({ samples }) => formatCount(samples)),
    figures("PID", ({ pid }) => String(pid)),
    words("THREAD", ({ name }) => name),
    words("WHAT IT IS FOR", ({ name }) => describeKernelThread(name)?.role ?? "not in the catalogue", {
      shrink: 1,
    }),
  ]);
}
