import type { Finding } from "../diagnose/finding.ts";
import type { Block, Tone } from "../probe/report.ts";
import { escapeText } from "../text/escape.ts";
import { formatCount, sparkline } from "../text/format.ts";
import { measure, truncate, wrap, type Style } from "./style.ts";
import { renderTable } from "./table.ts";

const SPARK_WIDTH = 20;
const LABEL_WIDTH = 5;

/** A report as text, a blank line between blocks. */
export function renderReport(blocks: readonly Block[], style: Style): string {
  return blocks
    .map((block) => renderBlock(block, style))
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")
    .concat("\n");
}

function renderBlock(block: Block, style: Style): string[] {
  switch (block.kind) {
    case "headline":
      return renderHeadline(block.text, block.spark ?? [], block.tone ?? "strong", style);
    case "text":
      return block.text
        .split("\n")
        .flatMap((line) => wrap(escapeText(line), style.width))
        .map((line) => style.tone(line, block.tone ?? "plain"));
    case "entry":
      return renderEntry(block, style);
    case "findings":
      return block.findings.flatMap((finding, index) => [
        ...(index > 0 ? [""] : []),
        ...renderFinding(finding, index + 1, style),
      ]);
    case "table": {
      if (block.rows.length === 0) return [];
      const title = block.title === undefined ? [] : [style.tone(escapeText(block.title), "strong")];
      const more =
        block.more === undefined
          ? []
          : wrap(escapeText(block.more), style.width).map((line) => style.tone(line, "dim"));
      return [...title, ...renderTable(block.columns, block.rows, style), ...more];
    }
  }
}

function renderHeadline(text: string, spark: readonly number[], tone: Tone, style: Style): string[] {
  const bars = spark.length > 1 ? sparkline(spark, SPARK_WIDTH) : "";
  const safe = escapeText(text);
  if (bars === "") return wrap(safe, style.width).map((line) => style.tone(line, tone));
  const gap = style.width - measure(safe) - measure(bars);
  if (gap < 2) return [...wrap(safe, style.width).map((line) => style.tone(line, tone)), bars];
  return [`${style.tone(safe, tone)}${" ".repeat(gap)}${bars}`];
}

function renderEntry(block: Extract<Block, { kind: "entry" }>, style: Style): string[] {
  const lines = [
    style.tone(escapeText(block.label), "strong"),
    ...indent(wrap(escapeText(block.text), style.width - 2), 2),
  ];
  for (const { label, text, verbatim } of block.details ?? [])
    lines.push(...renderDetail(label, text, verbatim === true, 2, style));
  return lines;
}

const SEVERITY: Readonly<Record<Finding["severity"], { readonly word: string; readonly tone: Tone }>> = {
  problem: { word: "PROBLEM", tone: "bad" },
  suspicious: { word: "suspicious", tone: "warn" },
  info: { word: "info", tone: "dim" },
};

function renderFinding(finding: Finding, number: number, style: Style): string[] {
  const { word, tone } = SEVERITY[finding.severity];
  const count = finding.count > 0 ? formatCount(finding.count) : "";
  const head = `${number}  `;
  const indentation = head.length + word.length + 2;
  const summary = wrap(escapeText(finding.summary), style.width - indentation - count.length - 2);
  const lines = summary.map((line, index) => {
    if (index > 0) return `${" ".repeat(indentation)}${style.tone(line, "strong")}`;
    const gap = Math.max(2, style.width - indentation - measure(line) - count.length);
    return `${head}${style.tone(word, tone)}  ${style.tone(line, "strong")}${count === "" ? "" : `${" ".repeat(gap)}${count}`}`;
  });
  const detail = (label: string, texts: readonly string[], verbatim: boolean) => {
    texts.forEach((text, index) =>
      lines.push(...renderDetail(index === 0 ? label : "", text, verbatim, 3, style)),
    );
  };
  const place =
    finding.netns === null
      ? null
      : `namespace ${finding.netns.name === null ? finding.netns.inode : `"${finding.netns.name}"`}`;
  if (place !== null) detail("in", [place], false);
  if (finding.rule !== undefined) {
    const { rule } = finding;
    const at =
      rule.number === null ? (rule.handle === null ? "" : ` handle ${rule.handle}`) : ` #${rule.number}`;
    const backend = rule.backend === null || rule.backend === rule.tool ? "" : ` (${rule.backend})`;
    const family = rule.family === undefined ? "" : `${rule.family} `;
    detail("rule", [`${rule.tool}${backend} ${family}${rule.table}/${rule.chain}${at}:`, rule.text], false);
  }
  // The evidence of a record stands alone and names the place; here that is said already.
  detail(
    "why",
    finding.evidence.filter((line) => line !== `in ${place}`),
    false,
  );
  detail("see", finding.check, true);
  detail("fix", finding.fix, true);
  return lines;
}

/** A labelled line; commands (`verbatim`) are never wrapped, they are there to be pasted. */
function renderDetail(
  label: string,
  text: string,
  verbatim: boolean,
  margin: number,
  style: Style,
): string[] {
  const body = margin + Math.max(LABEL_WIDTH, label.length + 1);
  const safe = escapeText(text);
  const lines = verbatim ? [safe] : wrap(safe, Math.max(20, style.width - body));
  return lines.map(
    (line, index) =>
      `${" ".repeat(margin)}${style.tone((index === 0 ? label : "").padEnd(body - margin), "dim")}${line}`,
  );
}

function indent(lines: readonly string[], by: number): string[] {
  return lines.map((line) => `${" ".repeat(by)}${line}`);
}

/** One line of plain progress for a pipe. */
export function renderProgress(elapsed: number, headline: string, style: Style): string {
  return truncate(escapeText(`${elapsed.toFixed(0)} s  ${headline}`), Math.max(style.width, 120));
}
