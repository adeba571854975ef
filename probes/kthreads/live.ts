import type { KernelThreadEvidence } from "../../src/evidence/kthreads/types.ts";
import type { Block } from "../../src/probe/report.ts";
import { describeKernelThread } from "../../src/catalogue/load.ts";
import { formatCount } from "../../src/text/format.ts";

const ROWS = 12;

/** Kernel threads by samples so far. `sampled`: by thread id. */
export function liveTable(
  sampled: ReadonlyMap<number, { readonly comm: string; readonly samples: number }>,
  evidence: KernelThreadEvidence | null,
): Extract<Block, { kind: "table" }> {
  const names = new Map((evidence?.threads ?? []).map(({ pid, name }) => [pid, name]));
  return {
    kind: "table",
    columns: [
      { header: "SAMPLES", align: "right" },
      { header: "PID", align: "right" },
      { header: "THREAD" },
      { header: "WHAT IT IS FOR", shrink: 1 },
    ],
    rows: [...sampled]
      .sort((a, b) => b[1].samples - a[1].samples)
      .slice(0, ROWS)
      .map(([pid, { comm, samples }]) => {
        const name = names.get(pid) ?? comm;
        const role = describeKernelThread(name)?.role ?? "not in the catalogue";
        return [formatCount(samples), String(pid), name, role];
      }),
  };
}
