import type { Block, Column } from "./report.ts";

export type TableBlock = Extract<Block, { kind: "table" }>;

/** A column, and what stands in it for a row: side by side, so that headers and cells cannot get out of step. */
interface CellColumn<Row> extends Column {
  readonly cell: (row: Row) => string;
}

/** A column of figures, set to the right. */
export function figures<Row>(header: string, cell: (row: Row) => string): CellColumn<Row> {
  return { header, align: "right", cell };
}

/** A column of words. */
export function words<Row>(
  header: string,
  cell: (row: Row) => string,
  form: Pick<Column, "shrink" | "overflow"> = {},
): CellColumn<Row> {
  return { header, ...form, cell };
}

export function makeTable<Row>(
  rows: readonly Row[],
  columns: readonly CellColumn<Row>[],
  rest: Pick<TableBlock, "title" | "more"> = {},
): TableBlock {
  return {
    kind: "table",
    columns: columns.map(({ cell: _, ...column }) => column),
    rows: rows.map((row) => columns.map(({ cell }) => cell(row))),
    ...rest,
  };
}
