import type { Command } from "commander";
import { EXIT, TraceError } from "../error.ts";
import { withInterrupt } from "../files/interrupt.ts";
import {
  compareProfiles,
  listChanges,
  type Comparison,
  type FrameChange,
  type Side,
} from "../profile/diff.ts";
import { formatShare, formatWeight } from "../profile/flame/numbers.ts";
import { drawHtml, drawSvg } from "../profile/flame/svg.ts";
import { buildDiffFlame } from "../profile/flame/tree.ts";
import { KERNEL_FILE } from "../profile/read/frame-text.ts";
import { selectProfile } from "../profile/select.ts";
import { printDiffFolded } from "../profile/write/diff-folded.ts";
import { guessFormat, type OutputFormat } from "../profile/write/formats.ts";
import { writeOutput, type Write } from "../profile/write/output.ts";
import { printSpeedscope } from "../profile/write.ts";
import { escapeText, quoteShell } from "../text/escape.ts";
import { formatBytes } from "../text/format.ts";
import { renderTable } from "../view/table.ts";
import { createStyle } from "../view/style.ts";
import type { CommandIo } from "./io.ts";
import { addSelectOption, createUnitOption, readInputs, type InputOptions } from "./profile-input.ts";

interface DiffOptions extends InputOptions {
  readonly output: readonly string[];
  readonly select?: string;
  readonly top: string;
  readonly force?: boolean;
}

/** Changes below this part of the profile are not worth a line. */
const MIN_CHANGE = 0.0005;

/** Adds `trace diff`. */
export function addDiffCommand(program: Command, io: CommandIo): void {
  const command = program
    .command("diff")
    .summary("what changed between two profiles, as a table and a flame graph")
    .description(
      "Compares two profiles of any format that `trace convert` reads. Both are scaled to 100 %, so that a longer recording does not " +
        "look busier. Each -o adds a file: .svg and .html (red grew, blue shrank), .folded (for flamegraph.pl), " +
        ".json (both profiles in one speedscope file).",
    )
    .argument("<before>")
    .argument("<after>")
    .option("-o, --output <file>", "file to write; may be repeated", collect, [])
    .option("--top <n>", "rows of the table", "20")
    .addOption(createUnitOption())
    .option("--force", "replace existing files that are not ours");
  addSelectOption(command).action(async (before: string, after: string, options: DiffOptions) => {
    await withInterrupt((signal) => diff(before, after, options, io, signal));
  });
}

async function diff(
  before: string,
  after: string,
  options: DiffOptions,
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const outputs = options.output.map((path) => ({ path, format: pickFormat(path) }));
  const top = parseTop(options.top);
  if (before === "-" && after === "-") {
    throw new TraceError(EXIT.usage, "standard input can be read only once", { hint: "name `-` once" });
  }
  const one = await readSide(before, options, io, signal);
  const two = await readSide(after, options, io, signal);
  if (one.data.unit !== two.data.unit) {
    throw new TraceError(EXIT.failed, "these two profiles measure different things", {
      why: `${before} is in ${one.data.unit}, ${after} in ${two.data.unit}`,
      hint: "--select another profile of one file, or --unit where a file does not say",
    });
  }
  const comparison = compareProfiles(
    { ...one, name: `before: ${one.name}` },
    { ...two, name: `after: ${two.name}` },
  );
  io.stdout.write(renderDiff(comparison, top, io));
  for (const { path, format } of outputs) {
    const { bytes } = await writeOutput(path, { format, force: options.force ?? false }, async (write) =>
      printComparison(comparison, format, write),
    );
    const open = format === "speedscope" ? `   trace view ${quoteShell(path)}` : "";
    io.stdout.write(`${escapeText(path)}  ${format}, ${formatBytes(bytes)}${escapeText(open)}\n`);
  }
}

async function readSide(
  file: string,
  options: DiffOptions,
  io: CommandIo,
  signal: AbortSignal,
): Promise<Side> {
  const store = await readInputs([file], options, io, signal);
  const data = selectProfile(store, options.select ?? null);
  if (data.total > 0) return { store, data, name: data.name };
  throw new TraceError(EXIT.failed, `nothing to compare in ${file}`, {
    why: "the weights of its samples add up to 0",
  });
}

function pickFormat(path: string): OutputFormat {
  const format = guessFormat(path);
  if (format !== null && format !== "pprof") return format;
  throw new TraceError(EXIT.usage, `what to write to ${path} is not clear`, {
    hint: "end its name in .svg, .html, .folded or .speedscope.json",
  });
}

function printComparison(comparison: Comparison, format: OutputFormat, write: Write): void {
  const { store, tree, shares } = comparison;
  if (format === "folded") return printDiffFolded(comparison, write);
  if (format === "speedscope") {
    printSpeedscope(store, {}, write);
    return;
  }
  const draw = format === "svg" ? drawSvg : drawHtml;
  const flame = buildDiffFlame(store, tree, shares, "all");
  write(draw(flame, { title: store.name, unit: "none", diff: true }));
}

function renderDiff(comparison: Comparison, top: number, io: CommandIo): string {
  const { before, after } = comparison;
  const style = createStyle(io.width, io.color);
  const changes = listChanges(comparison);
  const moved = changes.filter((change) => Math.abs(change.selfAfter - change.selfBefore) >= MIN_CHANGE);
  const lines = [
    `${before.name}: ${formatWeight(before.total, before.unit)}`,
    `${after.name}: ${formatWeight(after.total, after.unit)}   (${describeRatio(before.total, after.total)})`,
    "",
  ].map(escapeText);
  if (moved.length === 0) {
    return `${[...lines, `No function changed by ${formatShare(MIN_CHANGE)} or more of the profile.`].join("\n")}\n`;
  }
  const byName = Map.groupBy(moved, ({ frame }) => frame.name);
  const isShared = ({ frame }: FrameChange) => (byName.get(frame.name)?.length ?? 0) > 1;
  const rows = moved.slice(0, top).map((change) => toRow(change, isShared(change)));
  lines.push(...renderTable(COLUMNS, rows, style));
  if (moved.length > top)
    lines.push(`… ${moved.length - top} more functions changed (--top ${moved.length})`);
  lines.push(
    "",
    "SELF: on top of the stack. TOTAL: anywhere on it. CHANGE: of SELF, in percentage points of the profile.",
  );
  return `${lines.join("\n")}\n`;
}

const COLUMNS = [
  { header: "CHANGE", align: "right" },
  { header: "SELF BEFORE", align: "right" },
  { header: "AFTER", align: "right" },
  { header: "TOTAL BEFORE", align: "right" },
  { header: "AFTER", align: "right" },
  { header: "FUNCTION", shrink: 1 },
] as const;

/** `isShared`: another function has the same name, so that this one's module is said. */
function toRow(change: FrameChange, isShared: boolean): string[] {
  const points = (change.selfAfter - change.selfBefore) * 100;
  const { file } = change.frame;
  const mark = file === KERNEL_FILE ? " [kernel]" : isShared && file !== undefined ? ` (${file})` : "";
  return [
    `${points >= 0 ? "+" : ""}${points.toFixed(2)}`,
    formatShare(change.selfBefore),
    formatShare(change.selfAfter),
    formatShare(change.totalBefore),
    formatShare(change.totalAfter),
    change.frame.name + mark,
  ];
}

function describeRatio(before: number, after: number): string {
  const change = (after / before - 1) * 100;
  if (Math.abs(change) < 0.05) return "the same in all";
  return `${change > 0 ? "+" : ""}${change.toFixed(1)} % in all; below, both are 100 %`;
}

function parseTop(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value > 0) return value;
  throw new TraceError(EXIT.usage, `bad --top ${JSON.stringify(text)}`, { hint: "--top 20" });
}

function collect(value: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, value];
}
