import { formatBytes, formatCount, formatRate, plural } from "../text/format.ts";
import { parseIntegerPart, splitKey } from "../wire/key.ts";
import type { Message } from "../wire/message.ts";
import { literal, type ProgramVariables } from "./render.ts";
import {
  defineProbe,
  type AttachAlternative,
  type Json,
  type JsonObject,
  type ProbeDefinition,
  type ProbeRun,
  type RunContext,
} from "./define.ts";

/** How a key part is read and shown. `text` may only be the last one: bpftrace joins parts by bare commas. */
export type FieldType = "count" | "bytes" | "number" | "text";

/** One part of the map's key: declared once, it gives the record's field, the table's column and the docs. */
export interface Field {
  /** Name in records, camelCase. */
  readonly name: string;
  readonly type: FieldType;
  readonly header: string;
  readonly description: string;
}

export interface TableProbe {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly attach: readonly AttachAlternative[];
  /** Filters that the `.bt` template uses as `//#if pid`, `${pid}` and `//#if comm`, `${comm}`. */
  readonly filters: readonly ("pid" | "comm")[];
  /** The map that only grows: name with its `@`. */
  readonly map: string;
  readonly key: readonly Field[];
  /** What its values count. */
  readonly value: Field;
}

const MAX_ROWS = 20;

interface Entry {
  readonly fields: { readonly [name: string]: Json };
  total: number;
  fresh: number;
}

/** A probe that is one map of counts or sums: fields declared once, everything else follows. */
export function defineTableProbe(table: TableProbe): ProbeDefinition {
  return defineProbe({
    name: table.name,
    summary: table.summary,
    description: table.description,
    filters: table.filters,
    attach: table.attach,
    prepare({ options }) {
      const interval = typeof options["interval"] === "number" ? options["interval"] : 1;
      const variables: { [name: string]: ProgramVariables[string] } = {
        printMs: Math.round(Math.max(0.1, interval) * 1000),
        pid: options.pid ?? false,
        comm: options.comm === undefined ? false : literal(options.comm, "--comm"),
      };
      return { variables, tables: {} };
    },
    run: (context) => runTable(table, context),
  });
}

function runTable(table: TableProbe, context: RunContext): ProbeRun {
  const entries = new Map<string, Entry>();
  const spark: number[] = [];

  function read(message: Message): void {
    if (message.kind !== "map" || message.name !== table.map) return;
    for (const { key, value } of message.entries) {
      const total = typeof value === "bigint" ? Number(value) : value;
      const fields = key === null ? null : parseKey(key, table.key);
      if (key === null || fields === null || typeof total !== "number") {
        context.notice("warning", "malformed", `an entry of ${table.map} that could not be read`);
        continue;
      }
      const entry = entries.get(key) ?? { fields, total: 0, fresh: 0 };
      entry.fresh += Math.max(0, total - entry.total);
      entry.total = Math.max(entry.total, total);
      entries.set(key, entry);
    }
  }

  const sorted = () => [...entries.values()].sort((a, b) => b.total - a.total);
  const toRecord = (entry: Entry, value: number): JsonObject => ({
    ...entry.fields,
    [table.value.name]: value,
  });
  const sum = (pick: (entry: Entry) => number) =>
    [...entries.values()].reduce((total, entry) => total + pick(entry), 0);
  const show = (value: number) => (table.value.type === "bytes" ? formatBytes(value) : formatCount(value));

  function buildTable(limit: number) {
    const rows = sorted();
    return {
      kind: "table" as const,
      columns: [
        { header: table.value.header, align: "right" as const },
        ...table.key.map((field, index) => ({ header: field.header, shrink: index + 1 })),
      ],
      rows: rows
        .slice(0, limit)
        .map((entry) => [
          show(entry.total),
          ...table.key.map((field) => formatCell(entry.fields[field.name] ?? null)),
        ]),
      ...(rows.length > limit
        ? { more: `… and ${formatCount(rows.length - limit)} more: --format json has them all` }
        : {}),
    };
  }

  return {
    message: read,
    interval(seconds) {
      const rows = [...entries.values()]
        .filter((entry) => entry.fresh > 0)
        .map((entry) => toRecord(entry, entry.fresh));
      const total = sum((entry) => entry.fresh);
      for (const entry of entries.values()) entry.fresh = 0;
      if (seconds > 0) spark.push(total / seconds);
      return { total, rows };
    },
    live: () => ({
      headline: `${show(sum((entry) => entry.total))} ${table.value.name} (${formatRate(spark.at(-1) ?? 0)}/s)`,
      spark,
      table: buildTable(12),
      lost: 0,
    }),
    finish(end) {
      const total = sum((entry) => entry.total);
      return {
        summary: { total, rows: sorted().map((entry) => toRecord(entry, entry.total)) },
        findings: [],
        report: [
          {
            kind: "headline",
            text: `${show(total)} ${table.value.name} in ${plural(entries.size, "row")}${end.seconds > 0 ? ` (${formatRate(total / end.seconds)}/s)` : ""}`,
            spark,
          },
          buildTable(MAX_ROWS),
        ],
        profiles: [],
      };
    },
  };
}

function parseKey(key: string, fields: readonly Field[]): { [name: string]: Json } | null {
  const parts = splitKey(key, fields.length);
  if (parts === null) return null;
  const record: { [name: string]: Json } = {};
  for (const [index, field] of fields.entries()) {
    const part = parts[index] ?? "";
    const number = field.type === "text" ? null : parseIntegerPart(part);
    if (field.type !== "text" && number === null) return null;
    record[field.name] =
      field.type === "text" ? part : typeof number === "bigint" ? number.toString() : number;
  }
  return record;
}

function formatCell(value: Json): string {
  if (value === null) return "–";
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);
}
