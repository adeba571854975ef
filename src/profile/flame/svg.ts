import { createHash } from "node:crypto";
import { pickColour, pickDiffColour } from "./colour.ts";
import { escapeMarkup } from "./escape.ts";
import { formatShare, formatWeight } from "./numbers.ts";
import { FLAME_SCRIPT } from "./script.ts";
import type { FlameNode } from "./tree.ts";
import type { Unit } from "../model.ts";

/** Stands at the begin of every drawing: this is how we know a file is ours to replace. */
const MARK = "<!-- trace-ebpf flame graph -->";
const WIDTH = 1200;
const MARGIN = 10;
const ROW = 18;
const HEAD = 64;
const CHAR = 7;
/** Narrower boxes cannot be seen or hit. */
const MIN_WIDTH = 0.02;

export interface FlameOptions {
  readonly title: string;
  readonly unit: Unit;
  /** Whether the colours show what changed. */
  readonly diff: boolean;
}

/** Whether the first bytes of a file say that it is a drawing of ours. */
export function isOwnDrawing(head: Buffer): boolean {
  return head.toString("latin1", 0, 200).includes(MARK);
}

/** A drawing that needs nothing else and still zooms and searches in a browser. */
export function drawSvg(root: FlameNode, options: FlameOptions): string {
  const body = drawBody(root, options);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${MARK}\n${body.replace(/<\/svg>$/, `<script><![CDATA[${FLAME_SCRIPT}]]></script></svg>`)}\n`;
}

/** The same as a page. Its policy lets only this page's own script run. */
export function drawHtml(root: FlameNode, options: FlameOptions): string {
  const hash = createHash("sha256").update(FLAME_SCRIPT).digest("base64");
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  return `<!DOCTYPE html>
${MARK}
<html lang="en"><head><meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escapeMarkup(options.title)}</title>
<style>body{margin:0;background:#fff}svg{display:block;width:100%;height:auto}</style>
</head><body>
${drawBody(root, options)}
<script>${FLAME_SCRIPT}</script>
</body></html>
`;
}

const STYLE =
  "text{font:12px monospace;fill:#111;pointer-events:none}.button{fill:#06c;cursor:pointer;pointer-events:all}" +
  ".box{cursor:pointer}.box:hover rect{stroke:#000}.hit rect{fill:#d0f!important}.title{font-size:16px}";

function drawBody(root: FlameNode, options: FlameOptions): string {
  const boxes: string[] = [];
  const depth = drawBoxes(root, options, boxes);
  const height = HEAD + (depth + 1) * ROW + MARGIN;
  const legend = options.diff
    ? "red grew, blue shrank; width is the mean of before and after"
    : "orange: kernel, yellow and green: user modules, grey: neither";
  return [
    `<svg id="flame" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<style>${STYLE}</style><rect width="100%" height="100%" fill="#fff"/>`,
    `<text class="title" x="${MARGIN}" y="22">${escapeMarkup(options.title)}</text>`,
    `<text x="${MARGIN}" y="40">${legend}</text>`,
    `<text id="line" x="${MARGIN}" y="56"></text>`,
    `<text id="clear" class="button" x="${WIDTH - 150}" y="22" style="display:none">reset zoom</text>`,
    `<text id="search" class="button" x="${WIDTH - 60}" y="22">search</text>`,
    ...boxes,
    "</svg>",
  ].join("\n");
}

/** Pushes the boxes from the top to the leaves, and returns how many rows they take. */
function drawBoxes(root: FlameNode, options: FlameOptions, boxes: string[]): number {
  const scale = root.total > 0 ? (WIDTH - 2 * MARGIN) / root.total : 0;
  const todo: { node: FlameNode; left: number; depth: number }[] = [{ node: root, left: MARGIN, depth: 0 }];
  let rows = 0;
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { node, left, depth } = next;
    const width = node.total * scale;
    if (width < MIN_WIDTH && depth > 0) continue;
    rows = Math.max(rows, depth);
    boxes.push(drawBox(node, root, left, width, depth, options));
    let childLeft = left;
    for (const child of node.children) {
      todo.push({ node: child, left: childLeft, depth: depth + 1 });
      childLeft += child.total * scale;
    }
  }
  return rows;
}

function drawBox(
  node: FlameNode,
  root: FlameNode,
  left: number,
  width: number,
  depth: number,
  options: FlameOptions,
): string {
  const name = escapeMarkup(node.frame.name);
  const file = node.frame.file === undefined ? "" : ` ${escapeMarkup(node.frame.file)}`;
  const top = HEAD + depth * ROW;
  const colour = depth === 0 ? "#ddd" : options.diff ? pickDiffColour(node) : pickColour(node.frame);
  const room = Math.floor((width - 6) / CHAR);
  // Lines between boxes help where boxes are wide; between narrow ones there would be nothing but lines.
  const stroke = width > 4 ? ' stroke="#fff" stroke-width="0.5"' : "";
  const label = room < 3 ? "" : escapeMarkup(shorten(node.frame.name, room));
  return (
    `<g class="box" data-name="${name}"><title>${name}${file}: ${describe(node, root, options)}</title>` +
    `<rect x="${round(left)}" y="${top}" width="${round(width)}" height="${ROW - 1}" fill="${colour}"${stroke}/>` +
    `<text x="${round(left + 3)}" y="${top + 13}">${label}</text></g>`
  );
}

function describe(node: FlameNode, root: FlameNode, options: FlameOptions): string {
  if (!options.diff) {
    const share = root.total > 0 ? node.total / root.total : 0;
    return `${formatWeight(node.total, options.unit)}, ${formatShare(share)}`;
  }
  const change = (node.after - node.before) * 100;
  const sign = change >= 0 ? "+" : "";
  return `${formatShare(node.before)} before, ${formatShare(node.after)} after (${sign}${change.toFixed(2)} points)`;
}

function shorten(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}

/** Four digits are a hundredth of a pixel at the deepest useful zoom. */
function round(value: number): string {
  return String(Math.round(value * 1e4) / 1e4);
}
