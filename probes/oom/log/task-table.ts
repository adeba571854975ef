import type { OomTask } from "../record.ts";

/** Rows of the task table as printed: sizes in pages but for the page tables. */
export interface TaskRow {
  pid: number;
  comm: string;
  values: ReadonlyMap<string, number>;
}

export interface TaskTable {
  rows: TaskRow[];
  /** Rows beyond the bound, the smallest ones. */
  dropped: number;
}

/** Most rows kept; a host with more processes keeps the largest. */
export const MAX_ROWS = 16_384;

const OLD = ["uid", "tgid", "total_vm", "rss", "pgtables_bytes", "swapents", "oom_score_adj"];
const NEW = [
  "uid",
  "tgid",
  "total_vm",
  "rss",
  "rss_anon",
  "rss_file",
  "rss_shmem",
  "pgtables_bytes",
  "swapents",
  "oom_score_adj",
];
const ROW = /^\[ *(\d+)\]((?: +-?\d+)+)(?: ([\s\S]*))?$/;
const MAX_COLUMNS = 20;
/** What follows the pid, by the number of columns. */
const BODIES = Array.from(
  { length: MAX_COLUMNS + 1 },
  (_, count) => new RegExp(`^((?: +-?\\d+){${String(count)}})(?: ([\\s\\S]*))?$`),
);

/**
 * Reads a row. The comm follows the last column after one space and may hold anything, digits first included, so the
 * columns decide where it starts; without their header the count of numbers does (8 up to 6.8, 11 from 6.9 on).
 */
export function parseRow(text: string, columns: readonly string[] | null): TaskRow | null {
  const start = /^\[ *(\d+)\]/.exec(text);
  if (start === null) return null;
  const body = text.slice(start[0].length);
  const names = columns ?? guessColumns(text);
  const match = names === null ? null : BODIES[names.length]?.exec(body);
  if (names === null || match === null || match === undefined) return null;
  const numbers = (match[1] ?? "").trim().split(/ +/).map(Number);
  return {
    pid: Number(start[1]),
    comm: match[2] ?? "",
    values: new Map(names.map((name, index) => [name, numbers[index] ?? 0])),
  };
}

function guessColumns(text: string): readonly string[] | null {
  const count = (ROW.exec(text)?.[2] ?? "").trim().split(/ +/).length;
  if (count >= NEW.length) return NEW;
  return count >= OLD.length ? OLD : null;
}

/** Adds a row; past twice the bound the smallest are dropped. */
export function addRow(table: TaskTable, row: TaskRow): void {
  table.rows.push(row);
  if (table.rows.length > 2 * MAX_ROWS) trim(table);
}

function trim(table: TaskTable): void {
  if (table.rows.length <= MAX_ROWS) return;
  table.rows.sort((a, b) => (b.values.get("rss") ?? 0) - (a.values.get("rss") ?? 0));
  table.dropped += table.rows.length - MAX_ROWS;
  table.rows.length = MAX_ROWS;
}

/** A row in bytes. Page tables: bytes since 4.15, before that a count of PTE (and PMD) pages. */
export function buildTask(row: TaskRow, pageSize: number): OomTask {
  const pages = (name: string): number | null => {
    const value = row.values.get(name);
    return value === undefined ? null : value * pageSize;
  };
  const plain = (name: string): number | null => row.values.get(name) ?? null;
  const oldTables = row.values.has("nr_ptes") ? (pages("nr_ptes") ?? 0) + (pages("nr_pmds") ?? 0) : null;
  const uid = plain("uid");
  return {
    pid: row.pid,
    comm: row.comm,
    uid: uid === null ? null : uid >>> 0,
    rssBytes: pages("rss"),
    swapBytes: pages("swapents"),
    oomScoreAdj: plain("oom_score_adj"),
    growthBytesPerSecond: null,
    tgid: plain("tgid"),
    totalVmBytes: pages("total_vm"),
    anonBytes: pages("rss_anon"),
    fileBytes: pages("rss_file"),
    shmemBytes: pages("rss_shmem"),
    pageTableBytes: plain("pgtables_bytes") ?? oldTables,
  };
}

/** All rows in bytes, largest resident set first (pid breaks ties). */
export function buildTasks(table: TaskTable, pageSize: number): OomTask[] {
  trim(table);
  return table.rows
    .map((row) => buildTask(row, pageSize))
    .toSorted((a, b) => (b.rssBytes ?? 0) - (a.rssBytes ?? 0) || a.pid - b.pid);
}
