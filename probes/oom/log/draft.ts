import type { KernelTime } from "../../../src/evidence/kernel-log/line.ts";
import type { Chosen, KillFigures } from "./kill-line.ts";
import type { OomLine } from "./lines.ts";
import { addMemInfo, createMemInfo, type MemInfoDraft } from "./mem-info.ts";
import { addStatLine, addStats, createMemcgDraft, type MemcgDraft, parseLimit } from "./memcg.ts";
import { addRow, parseRow, type TaskTable } from "./task-table.ts";
import { MAX_FRAMES } from "./trace.ts";

export interface Moment {
  time: KernelTime | null;
  monotonic: number | null;
  host: string | null;
}

/** A report under way: what its lines said so far. */
export interface Draft {
  at: Moment;
  header: Extract<OomLine, { kind: "header" }> | null;
  cpu: { pid: number; comm: string; kernel: string | null } | null;
  frames: string[];
  /** A "Call Trace:" was seen. */
  traced: boolean;
  memcg: MemcgDraft | null;
  memInfo: MemInfoDraft | null;
  table: TaskTable | null;
  columns: readonly string[] | null;
  /** Up to 4.19: "Task in A killed as a result of limit of B". */
  limitOf: { task: string; limit: string } | null;
  /** Up to 5.0: the prefix of "… Kill process N … or sacrifice child". */
  score: { memcg: boolean; pid: number } | null;
  chosen: Chosen | null;
  /** The section that unmarked lines (stats, Mem-Info, frames, rows) belong to. */
  section: "none" | "trace" | "memcg" | "mem-info" | "tasks";
  suppressedBefore: number;
  interleaved: boolean;
  /** Time of the last line that belonged to it, and how many records of the lane came since. */
  lastSeconds: number | null;
  idle: number;
}

/** What a `Killed process` line gave, with its prefix. */
export interface Kill {
  at: Moment;
  figures: KillFigures;
  /** From the prefix; null where the line has none (up to 5.1). */
  memcg: boolean | null;
  prefix: string;
}

export function createDraft(at: Moment): Draft {
  return {
    at,
    header: null,
    cpu: null,
    frames: [],
    traced: false,
    memcg: null,
    memInfo: null,
    table: null,
    columns: null,
    limitOf: null,
    score: null,
    chosen: null,
    section: "none",
    suppressedBefore: 0,
    interleaved: false,
    lastSeconds: null,
    idle: 0,
  };
}

/** Lines that are part of a report's body. */
export type SectionLine = Extract<
  OomLine,
  { kind: "trace" | "mem-info" | "limit-of" | "counter" | "stats" | "tasks" | "columns" | "row" | "score" }
>;
type BodyLine = SectionLine | Extract<OomLine, { kind: "frame" | "registers" | "other" }>;

/** Whether the part of a report that starts with this line is there already: then it is another report's. */
export function hasPart(draft: Draft, line: SectionLine): boolean {
  if (line.kind === "trace") return draft.traced;
  if (line.kind === "counter") return draft.memcg?.counters.has(line.name) ?? false;
  if (line.kind === "mem-info") return draft.memInfo !== null;
  if (line.kind === "columns") return (draft.table?.rows.length ?? 0) > 0;
  if (line.kind === "tasks") return draft.table !== null;
  return line.kind === "limit-of" && draft.limitOf !== null;
}

/** Takes a line of the report's body. Returns false for one that says nothing to it. */
export function absorb(
  draft: Draft,
  line: BodyLine,
  text: string,
  columns: readonly string[] | null,
): boolean {
  switch (line.kind) {
    case "trace":
      draft.traced = true;
      draft.section = "trace";
      return true;
    case "frame":
      if (line.pair && draft.section === "none" && draft.header !== null && !draft.traced) {
        draft.traced = true;
        draft.section = "trace";
      }
      if (draft.section !== "trace") return false;
      if (draft.frames.length < MAX_FRAMES) draft.frames.push(line.name);
      return true;
    case "registers":
      if (draft.section === "trace") draft.section = "none";
      return true;
    case "limit-of":
      draft.limitOf = { task: line.task, limit: line.limit };
      draft.section = "memcg";
      return true;
    case "counter":
    case "stats":
      absorbMemcg(draft, line);
      return true;
    case "mem-info":
      draft.memInfo = createMemInfo();
      draft.section = "mem-info";
      return true;
    case "tasks":
    case "columns":
      draft.table ??= { rows: [], dropped: 0 };
      if (line.kind === "columns") draft.columns = line.names;
      draft.section = "tasks";
      return true;
    case "row":
      return absorbRow(draft, text, columns);
    case "score":
      draft.score = { memcg: line.memcg, pid: line.pid };
      return true;
    case "other":
      return absorbUnmarked(draft, text);
    default:
      return false;
  }
}

function absorbMemcg(draft: Draft, line: Extract<OomLine, { kind: "counter" | "stats" }>): void {
  draft.memcg ??= createMemcgDraft();
  draft.section = "memcg";
  if (line.kind === "stats") {
    addStats(draft.memcg, line.text);
    return;
  }
  if (draft.memcg.counters.has(line.name)) return;
  const { usage, limit, failcnt } = line;
  draft.memcg.counters.set(line.name, { usageBytes: usage * 1024, limitBytes: parseLimit(limit), failcnt });
}

function absorbRow(draft: Draft, text: string, columns: readonly string[] | null): boolean {
  // A log that starts inside the table has no columns of its own; the same kernel's earlier ones fit.
  const row = parseRow(text.trimStart(), draft.columns ?? columns);
  if (row === null) return false;
  draft.table ??= { rows: [], dropped: 0 };
  addRow(draft.table, row);
  draft.section = "tasks";
  return true;
}

function absorbUnmarked(draft: Draft, text: string): boolean {
  if (draft.section === "memcg" && draft.memcg !== null) {
    let any = false;
    for (const part of text.split("\n")) any = addStatLine(draft.memcg, part) || any;
    return any;
  }
  if (draft.section === "mem-info" && draft.memInfo !== null)
    return addMemInfo(draft.memInfo, text.trimStart());
  return false;
}
