import { createDraft, type Draft, type Kill } from "./draft.ts";
import type { Chosen } from "./kill-line.ts";
import type { OpenReports } from "./open-reports.ts";

/** Reports whose lines are mixed: what names its victim or its cgroup still finds its kill, the rest is left out. */
export interface Mixed {
  /** An `oom-kill:` line that may be any report's. */
  keep(chosen: Chosen): void;
  /** A "Memory cgroup stats for PATH" line. */
  stats(text: string): void;
  knows(pid: number | null): boolean;
  resolve(kill: Kill): Draft;
}

const MAX_LOOSE = 16;

export function createMixed(open: OpenReports): Mixed {
  let loose: Chosen[] = [];
  let unclaimed = 0;

  return {
    keep(chosen) {
      loose.push(chosen);
      if (loose.length > MAX_LOOSE) loose.shift();
    },
    stats(text) {
      // Only the path can tie counters to a report; with two to choose from none is sure.
      const waiting = open.all.filter((draft) => draft.memcg !== null && draft.memcg.cgroup === null);
      const path = text.split(/:(?:\s|$)/)[0] ?? "";
      for (const draft of waiting)
        if (draft.memcg !== null) draft.memcg.cgroup = waiting.length === 1 ? path : "";
    },
    knows: (pid) => pid !== null && loose.some((chosen) => chosen.pid === pid),
    resolve(kill) {
      const { pid } = kill.figures;
      const mixed = open.all.filter((draft) => draft.interleaved);
      const draft = createDraft(kill.at);
      draft.interleaved = true;
      draft.chosen = loose.find((candidate) => candidate.pid === pid) ?? null;
      loose = loose.filter((candidate) => candidate !== draft.chosen);
      // The invoker is sure only where it is the victim.
      const invoker = pid === null ? undefined : mixed.find((candidate) => candidate.cpu?.pid === pid);
      draft.header = invoker?.header ?? null;
      draft.cpu = invoker?.cpu ?? null;
      const owner = draft.chosen?.oomCgroup ?? null;
      draft.memcg =
        (owner === null ? undefined : mixed.find((other) => other.memcg?.cgroup === owner))?.memcg ?? null;
      const row = mixed
        .flatMap((other) => other.table?.rows ?? [])
        .find((candidate) => candidate.pid === pid);
      if (row !== undefined) draft.table = { rows: [row], dropped: 0 };
      if (invoker === undefined) unclaimed += 1;
      else open.drop(invoker);
      const rest = open.all.filter((other) => other.interleaved);
      if (rest.length <= unclaimed) {
        for (const other of rest) open.drop(other);
        unclaimed = 0;
        loose = [];
      }
      return draft;
    },
  };
}
