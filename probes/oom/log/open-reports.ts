import type { OomIncident } from "../record.ts";
import { describeDraft } from "./build.ts";
import { createDraft, type Draft, type Moment } from "./draft.ts";

/** The reports of one lane that have begun and not ended, oldest first. */
export interface OpenReports {
  readonly all: readonly Draft[];
  current(): Draft | undefined;
  begin(at: Moment, seconds: number | null): Draft;
  drop(draft: Draft): void;
  /** Drops one whose end is not in the log; a report with a header becomes a `cut` incident. */
  abandon(draft: Draft): void;
  /** Abandons those that nothing was heard of for too long. */
  expire(seconds: number | null): void;
  /** Two reports at once: from here on only names tie lines to either. */
  mix(): void;
  takeCut(): OomIncident[];
}

const MAX_OPEN = 8;
const MAX_CUT = 100;
/** A slow serial console needs a second or more a line when it is busy; a report does not pause longer. */
const STALE_SECONDS = 30;
const STALE_RECORDS = 4096;

/** Whether a report was quiet for more than `limit` seconds (or, without a clock, very many records). */
export function isStale(draft: Draft, seconds: number | null, limit: number): boolean {
  if (draft.idle > STALE_RECORDS) return true;
  if (seconds === null || draft.lastSeconds === null) return false;
  return Math.abs(seconds - draft.lastSeconds) > limit;
}

/** A line belonged to the report. */
export function touch(draft: Draft, seconds: number | null): void {
  draft.idle = 0;
  if (seconds !== null) draft.lastSeconds = seconds;
}

/** A report that ended without a kill. */
export function incidentOf(kind: OomIncident["kind"], draft: Draft): OomIncident {
  const { at, scope, invoker } = describeDraft(draft);
  const { chosen } = draft;
  return {
    kind,
    time: at.time,
    monotonic: at.monotonic,
    host: at.host,
    scope,
    invoker,
    chosen: chosen?.pid == null ? null : { pid: chosen.pid, comm: chosen.comm },
  };
}

export function createOpenReports(): OpenReports {
  let all: Draft[] = [];
  let cut: OomIncident[] = [];

  const drop = (draft: Draft): void => {
    all = all.filter((other) => other !== draft);
  };
  const abandon = (draft: Draft): void => {
    drop(draft);
    // Without a header it was only the rest of a report; of mixed ones nobody knows which was finished.
    if (draft.header === null || draft.interleaved) return;
    cut.push(incidentOf("cut", draft));
    if (cut.length > MAX_CUT) cut.shift();
  };
  return {
    get all() {
      return all;
    },
    current: () => all.at(-1),
    begin(at, seconds) {
      const draft = createDraft(at);
      touch(draft, seconds);
      all.push(draft);
      if (all.length > MAX_OPEN && all[0] !== undefined) abandon(all[0]);
      return draft;
    },
    drop,
    abandon,
    expire(seconds) {
      for (const draft of all) {
        draft.idle += 1;
        if (isStale(draft, seconds, STALE_SECONDS)) abandon(draft);
      }
    },
    mix() {
      for (const draft of all) draft.interleaved = true;
    },
    takeCut() {
      const taken = cut;
      cut = [];
      return taken;
    },
  };
}
