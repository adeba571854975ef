import type { OomIncident } from "../record.ts";
import {
  absorb,
  createDraft,
  type Draft,
  hasPart,
  type Kill,
  type Moment,
  type SectionLine,
} from "./draft.ts";
import { parseChosen, parseKillLine } from "./kill-line.ts";
import type { OomLine } from "./lines.ts";
import { createMixed } from "./mixed.ts";
import { createOpenReports, incidentOf, isStale, touch } from "./open-reports.ts";

/**
 * Reports of one source of lines: a host, or one printing context of it under CONFIG_PRINTK_CALLER. The kernel
 * prints a whole report under oom_lock, so one is open at a time; two at once mean lost lines or a mixed log.
 */
export interface Lane {
  feed(line: OomLine, text: string, at: Moment, seconds: number | null): LaneEvent | null;
  /** Ends all open reports; these and earlier ones whose end is not in the log. */
  end(): OomIncident[];
  /** Whether a report is open, so that unmarked lines matter. */
  readonly busy: boolean;
}

export type LaneEvent =
  | { kind: "kill"; draft: Draft; kill: Kill }
  | { kind: "incident"; incident: OomIncident }
  | { kind: "group"; cgroup: string };

type Line<Kind extends OomLine["kind"]> = Extract<OomLine, { kind: Kind }>;

/** A header this soon after an unfinished report may mean that both are mixed. */
const MIX_SECONDS = 1;
/** A kill that nothing but its place ties to a report follows its last line within a moment. */
const NEAR_SECONDS = 5;
const NEAR_RECORDS = 64;

/** How surely the kill is the end of a report: by name (3, 2), by place only (1), not at all (0). */
function grade(draft: Draft, kill: Kill, seconds: number | null, isAlone: boolean): number {
  const { pid } = kill.figures;
  const memcg = draft.chosen?.oomCgroup != null || draft.memcg !== null || draft.limitOf !== null;
  const host = draft.chosen?.global === true || draft.memInfo !== null;
  if ((kill.memcg === true && host && !memcg) || (kill.memcg === false && memcg)) return 0;
  if (draft.chosen?.pid != null && draft.chosen.pid === pid) return 3;
  const near = draft.idle <= NEAR_RECORDS && !isStale(draft, seconds, NEAR_SECONDS);
  if (draft.chosen?.pid != null) {
    // The kernel may name one thread in the summary and another, whose mm is left, in the kill.
    return isAlone && near && draft.idle <= 1 && draft.chosen.comm === kill.figures.comm ? 1 : 0;
  }
  if (draft.score !== null && draft.score.pid === pid) return 3;
  const rows = draft.table?.rows ?? [];
  if (rows.some((row) => row.pid === pid)) return 2;
  // A child that dies for its parent need not be in the table of the parent's cgroup.
  if (draft.score === null && rows.length > 0 && pid !== null) return 0;
  return isAlone && near ? 1 : 0;
}

export function createLane(): Lane {
  const open = createOpenReports();
  const mixed = createMixed(open);
  let suppressed = 0;
  /** Another subsystem's stack or Mem-Info is being printed. */
  let foreign = false;
  /** No report was seen yet: the log may begin inside one. */
  let fresh = true;
  let columns: readonly string[] | null = null;

  const begin = (at: Moment, seconds: number | null): Draft => {
    const draft = open.begin(at, seconds);
    draft.suppressedBefore = suppressed;
    suppressed = 0;
    return draft;
  };

  const onHeader = (line: Line<"header">, at: Moment, seconds: number | null): void => {
    const before = open.current();
    begin(at, seconds).header = line;
    foreign = false;
    fresh = false;
    if (before === undefined || !open.all.includes(before) || isStale(before, seconds, MIX_SECONDS)) return;
    // Only its kill line is missing, and that carries the victim's name.
    const nearlyDone = before.chosen !== null || before.score !== null;
    if (!nearlyDone && before.header !== null) open.mix();
  };

  const onCpu = (line: Line<"cpu">, seconds: number | null): void => {
    const isOwner = (draft: Draft): boolean =>
      draft.cpu === null && draft.header !== null && line.comm.endsWith(draft.header.comm ?? "");
    const owner = open.all.findLast(isOwner);
    // Without one it is another program's stack trace.
    foreign = owner === undefined && open.all.length > 0;
    if (owner === undefined) return;
    owner.cpu = { pid: line.pid, comm: line.comm, kernel: line.kernel };
    touch(owner, seconds);
  };

  /** The report that listed the process; for lines that name one. */
  const listing = (pid: number | null): Draft | undefined =>
    open.all.findLast((draft) => draft.table?.rows.some((row) => row.pid === pid) ?? false);

  /** The report a section belongs to: the current one, unless it has that section already. */
  const targetOf = (line: SectionLine, at: Moment, seconds: number | null): Draft => {
    const named = line.kind === "score" ? listing(line.pid) : undefined;
    const inTable = line.kind === "row" ? open.all.findLast((draft) => draft.section === "tasks") : undefined;
    const current = named ?? inTable ?? open.current();
    if (current === undefined) return begin(at, seconds);
    if (!hasPart(current, line)) return current;
    const other = open.all.find((draft) => !hasPart(draft, line));
    const target = other ?? begin(at, seconds);
    open.mix();
    return target;
  };
  const onSection = (line: SectionLine, text: string, at: Moment, seconds: number | null): void => {
    const before = open.all.length;
    const target = targetOf(line, at, seconds);
    if (line.kind === "columns") columns = line.names;
    if (line.kind === "stats" && target.interleaved) mixed.stats(line.text);
    else if (absorb(target, line, text, columns)) touch(target, seconds);
    // A row that cannot be read begins nothing.
    else if (open.all.length > before) open.drop(target);
  };

  const onChosen = (line: Line<"chosen">, at: Moment, seconds: number | null): void => {
    const chosen = parseChosen(line.text, line.constraint);
    const hasRow = (draft: Draft): boolean =>
      draft.table?.rows.some((row) => row.pid === chosen.pid) ?? false;
    const free = open.all.filter((draft) => draft.chosen === null && !draft.interleaved);
    const target = free.findLast(hasRow) ?? free.at(-1);
    if (target === undefined && open.all.some((draft) => draft.interleaved)) {
      mixed.keep(chosen);
      return;
    }
    const draft = target ?? begin(at, seconds);
    draft.chosen = chosen;
    draft.section = "none";
    touch(draft, seconds);
  };

  const onKill = (line: Line<"kill">, at: Moment, seconds: number | null): LaneEvent => {
    const kill: Kill = { at, figures: parseKillLine(line.text), memcg: line.memcg, prefix: line.prefix };
    fresh = false;
    const gradeOf = (draft: Draft): number => grade(draft, kill, seconds, open.all.length === 1);
    const own = open.all.toReversed().toSorted((a, b) => gradeOf(b) - gradeOf(a))[0];
    if (own !== undefined && !own.interleaved && gradeOf(own) > 0) {
      open.drop(own);
      return { kind: "kill", draft: own, kill };
    }
    const known =
      mixed.knows(kill.figures.pid) || open.all.some((draft) => draft.interleaved && gradeOf(draft) > 0);
    return { kind: "kill", draft: known ? mixed.resolve(kill) : createDraft(at), kill };
  };

  const onEnd = (kind: OomIncident["kind"], at: Moment): LaneEvent => {
    const draft = open.current() ?? createDraft(at);
    open.drop(draft);
    return { kind: "incident", incident: incidentOf(kind, draft) };
  };

  /** Lines that other reports of the kernel have too: they count only where no other report is under way. */
  const onShared = (
    line: Line<"trace" | "mem-info">,
    text: string,
    at: Moment,
    seconds: number | null,
  ): void => {
    const current = open.current();
    if (foreign || (current === undefined && (line.kind === "trace" || !fresh))) return;
    if (open.all.length > 0 && open.all.every((draft) => hasPart(draft, line))) foreign = true;
    else onSection(line, text, at, seconds);
  };

  const onEvent = (line: OomLine, at: Moment, seconds: number | null): LaneEvent | null => {
    if (line.kind === "kill") return onKill(line, at, seconds);
    if (line.kind === "group") return { kind: "group", cgroup: line.cgroup };
    if (line.kind === "no-victim") return onEnd("no-killable-process", at);
    if (line.kind === "panic") return onEnd("panic", at);
    if (line.kind === "suppressed") suppressed += line.count;
    // Inside a group it is only one member that needs no killing.
    const isChosen = line.kind === "exiting" && open.current()?.chosen?.pid === line.pid;
    return isChosen ? onEnd("already-exiting", at) : null;
  };

  const onLine = (line: OomLine, text: string, at: Moment, seconds: number | null): LaneEvent | null => {
    if (line.kind === "header") onHeader(line, at, seconds);
    else if (line.kind === "cpu") onCpu(line, seconds);
    else if (line.kind === "chosen") onChosen(line, at, seconds);
    else if (line.kind === "trace" || line.kind === "mem-info") onShared(line, text, at, seconds);
    else if (line.kind === "other-report") {
      foreign = open.all.length > 0;
      for (const draft of open.all) draft.section = "none";
    } else if (line.kind === "lost") {
      // What follows may be the end of another report.
      open.mix();
    } else if (line.kind === "frame" || line.kind === "registers" || line.kind === "other") {
      const draft = open.current();
      if (draft !== undefined && !foreign && absorb(draft, line, text, columns)) touch(draft, seconds);
    } else if (isOwnSection(line)) {
      foreign = false;
      onSection(line, text, at, seconds);
    } else return onEvent(line, at, seconds);
    return null;
  };

  return {
    get busy() {
      return open.all.length > 0;
    },
    feed(line, text, at, seconds) {
      open.expire(seconds);
      return onLine(line, text, at, seconds);
    },
    end() {
      for (const draft of open.all) open.abandon(draft);
      return open.takeCut();
    },
  };
}

/** Sections that only the OOM killer prints. */
function isOwnSection(line: OomLine): line is SectionLine {
  return ["limit-of", "counter", "stats", "tasks", "columns", "row", "score"].includes(line.kind);
}
