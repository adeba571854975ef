import Table from "cli-table3";
import type { Column } from "../probe/report.ts";
import { escapeText } from "../text/escape.ts";
import { measure, truncate, wrap, type Style } from "./style.ts";

/** No lines, two spaces between columns. */
const BARE = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

const MIN_WIDTH = 6;
const OVERFLOW_INDENT = 9;

/** Lines of a table that fits `style.width`: columns that may shrink give way in their order, cells are cut with …. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style,
): string[] {
  const cells = rows.map((row) => columns.map((_, index) => escapeText(row[index] ?? "")));
  const widths = columns.map((column, index) =>
    Math.max(measure(column.header), ...cells.map((row) => measure(row[index] ?? ""))),
  );
  const order = columns
    .map((column, index) => ({ index, shrink: column.shrink ?? 0, header: measure(column.header) }))
    .filter((entry) => entry.shrink > 0)
    .sort((a, b) => b.shrink - a.shrink);
  let excess = widths.reduce((sum, width) => sum + width + 2, -2) - style.width;
  for (const [index, column] of columns.entries()) {
    if (excess <= 0 || column.overflow !== true) continue;
    excess -= (widths[index] ?? 0) - measure(column.header);
    widths[index] = measure(column.header);
  }
  for (const { index, header } of order) {
    if (excess <= 0) break;
    const width = widths[index] ?? 0;
    const give = Math.min(excess, Math.max(0, width - Math.max(MIN_WIDTH, Math.min(header, width))));
    widths[index] = width - give;
    excess -= give;
  }
  const table = new Table({
    chars: BARE,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
    colWidths: [...widths],
    colAligns: columns.map((column) => column.align ?? "left"),
  });
  table.push(columns.map((column) => style.tone(column.header, "dim")));
  const below = cells.map((row) =>
    row.flatMap((cell, index) =>
      columns[index]?.overflow === true && measure(cell) > (widths[index] ?? 0) ? [{ cell, index }] : [],
    ),
  );
  for (const [position, row] of cells.entries()) {
    const moved = new Set(below[position]?.map((entry) => entry.index));
    table.push(
      row.map((cell, index) => (moved.has(index) ? "↓" : truncate(cell, widths[index] ?? MIN_WIDTH))),
    );
  }
  const [header = "", ...lines] = table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
  return [
    header,
    ...lines.flatMap((line, position) => [
      line,
      ...(below[position] ?? []).flatMap(({ cell }) =>
        wrap(cell, style.width - OVERFLOW_INDENT).map((part) => `${" ".repeat(OVERFLOW_INDENT)}${part}`),
      ),
    ]),
  ];
}
