import type { OomReport, OomTask } from "../record.ts";

/** Tasks of one name, together. */
export interface Holder {
  comm: string;
  processes: number;
  rssBytes: number;
  swapBytes: number;
  largest: OomTask;
}

/** Who held the memory at a kill, from its task table. Tasks that share an mm are listed once by the kernel. */
export interface Holders {
  totalRssBytes: number;
  processes: number;
  /** By name, largest first. */
  byName: Holder[];
  largest: OomTask;
}

/** Null where the report has no task table. */
export function findHolders(report: OomReport): Holders | null {
  const largest = report.tasks[0];
  if (largest === undefined) return null;
  const byName = new Map<string, Holder>();
  let total = 0;
  for (const task of report.tasks) {
    const rss = task.rssBytes ?? 0;
    total += rss;
    const known = byName.get(task.comm);
    if (known === undefined) {
      byName.set(task.comm, {
        comm: task.comm,
        processes: 1,
        rssBytes: rss,
        swapBytes: task.swapBytes ?? 0,
        largest: task,
      });
    } else {
      known.processes += 1;
      known.rssBytes += rss;
      known.swapBytes += task.swapBytes ?? 0;
    }
  }
  return {
    totalRssBytes: total,
    processes: report.tasks.length,
    byName: [...byName.values()].toSorted((a, b) => b.rssBytes - a.rssBytes),
    largest,
  };
}
