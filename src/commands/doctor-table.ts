import Table from "cli-table3";
import pc from "picocolors";
import type { Check, CheckStatus } from "../host/check.ts";
import { canTraceDrops } from "../host/doctor.ts";
import { escapeText } from "../text/escape.ts";
import { wrap } from "../view/style.ts";

/** Columns of the table but the last: longest name, longest status, and the space between. */
const NAME_WIDTH = 17;
const STATUS_WIDTH = 9;
/** Narrower than this no sentence is readable; the terminal wraps then. */
const MIN_DETAIL = 30;

/** The report of `trace doctor`: a table, then each repair as a line to paste (never wrapped). `width` in columns. */
export function renderDoctor(checks: readonly Check[], style: { color: boolean; width: number }): string {
  const colors = pc.createColors(style.color);
  const paint: Record<CheckStatus, (text: string) => string> = {
    ok: colors.green,
    limited: colors.yellow,
    missing: colors.red,
  };
  const table = new Table({
    chars: BARE,
    style: { "padding-left": 0, "padding-right": 1, head: [], border: [] },
    colWidths: [NAME_WIDTH, STATUS_WIDTH],
  });
  const room = Math.max(MIN_DETAIL, style.width - NAME_WIDTH - STATUS_WIDTH - 1);
  for (const { what, status, detail } of checks) {
    table.push([escapeText(what), paint[status](status), wrap(escapeText(detail), room).join("\n")]);
  }
  const lines = table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
  return `${[...lines, "", ...renderRepairs(checks), conclude(checks, paint)].join("\n")}\n`;
}

/** No borders: what is copied from the terminal is text. */
const BARE = Object.fromEntries(
  ["top", "bottom", "mid", "left", "right"]
    .flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`])
    .concat(["middle", "left-mid", "mid-mid", "right-mid"])
    .map((name) => [name, ""]),
);

function renderRepairs(checks: readonly Check[]): string[] {
  const repairs = new Map<string, string[]>();
  for (const { what, status, repair } of checks) {
    if (repair !== null && status !== "ok") repairs.set(repair, [...(repairs.get(repair) ?? []), what]);
  }
  if (repairs.size === 0) return [];
  const lines = [...repairs].map(
    ([repair, names]) => `  ${escapeText(repair)}   # ${names.map(escapeText).join(", ")}`,
  );
  const fixable = checks.filter((check) => check.fixable !== null).map((check) => check.what);
  const hint = fixable.length === 0 ? [] : [`  trace doctor --fix   # does it for ${fixable.join(", ")}`];
  return ["To repair:", ...lines, ...hint, ""];
}

function conclude(checks: readonly Check[], paint: Record<CheckStatus, (text: string) => string>): string {
  const missing = checks.filter((check) => check.required && check.status === "missing");
  if (canTraceDrops(checks)) return paint.ok("trace drops can run here.");
  return paint.missing(`trace drops cannot run here: ${missing.map((check) => check.what).join(", ")}.`);
}
