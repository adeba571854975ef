import type { OomReport, OomTask } from "../record.ts";

/** A weighted stack for a profile, root first. */
export interface MemoryStack {
  frames: string[];
  bytes: number;
}

function parts(task: OomTask): [string, number | null][] {
  // Up to 6.8 the table gives the resident set as one figure.
  const resident: [string, number | null][] =
    task.anonBytes === null
      ? [["rss", task.rssBytes]]
      : [
          ["anon", task.anonBytes],
          ["file", task.fileBytes],
          ["shmem", task.shmemBytes],
        ];
  return [...resident, ["page tables", task.pageTableBytes]];
}

/** The victim's row with the split of its kill line, which every kernel prints. */
function withVictim(report: OomReport, task: OomTask): OomTask {
  const { victim } = report;
  if (task.anonBytes !== null || task.pid !== victim.pid || victim.anonRssBytes === null) return task;
  return {
    ...task,
    anonBytes: victim.anonRssBytes,
    fileBytes: victim.fileRssBytes,
    shmemBytes: victim.shmemRssBytes,
    pageTableBytes: victim.pageTableBytes ?? task.pageTableBytes,
  };
}

/**
 * Where the memory was at a kill: cgroup (or host) → process → anon, file, shmem, page tables (`rss` where the kernel does not split it). A report
 * without a task table shows its victim alone. Names are raw: whoever prints them escapes them.
 */
export function memoryStacks(report: OomReport): MemoryStack[] {
  const root = report.scope.cgroup ?? report.likelyCgroup ?? report.host ?? "host";
  const tasks = report.tasks.map((task) => withVictim(report, task));
  const { victim } = report;
  if (tasks.length === 0) {
    const own: [string, number | null][] = [
      ["anon", victim.anonRssBytes],
      ["file", victim.fileRssBytes],
      ["shmem", victim.shmemRssBytes],
      ["page tables", victim.pageTableBytes],
    ];
    const name = `${victim.comm ?? "?"} (${String(victim.pid ?? "?")})`;
    return own.flatMap(([part, bytes]) =>
      bytes === null || bytes === 0 ? [] : [{ frames: [root, name, part], bytes }],
    );
  }
  return tasks.flatMap((task) =>
    parts(task).flatMap(([part, bytes]) =>
      bytes === null || bytes === 0
        ? []
        : [{ frames: [root, `${task.comm} (${String(task.pid)})`, part], bytes }],
    ),
  );
}
