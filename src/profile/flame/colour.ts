import { KERNEL_FILE } from "../read/frame-text.ts";
import type { Frame } from "../model.ts";
import type { FlameNode } from "./tree.ts";

/** Kernel frames are orange, user frames yellow to green by their module, and what has no module (a comm, a pid) grey-blue. */
export function pickColour(frame: Frame): string {
  const shade = hashText(frame.name) % 12;
  if (frame.file === KERNEL_FILE) return `hsl(${22 + (shade % 6)} 85% ${62 + shade}%)`;
  if (frame.file === undefined) return `hsl(205 30% ${72 + shade}%)`;
  return `hsl(${48 + (hashText(frame.file) % 60)} 65% ${60 + shade}%)`;
}

/** Red for what grew, blue for what shrank, white for what stayed; the stronger the larger the change in proportion. */
export function pickDiffColour({ before, after }: FlameNode): string {
  const sum = before + after;
  const change = sum > 0 ? (after - before) / sum : 0;
  if (Math.abs(change) < 0.005) return "hsl(0 0% 96%)";
  const hue = change > 0 ? 2 : 215;
  return `hsl(${hue} 85% ${Math.round(97 - 42 * Math.abs(change))}%)`;
}

function hashText(text: string): number {
  let hash = 0;
  for (let index = 0; index < text.length; index++)
    hash = (Math.imul(hash, 31) + text.charCodeAt(index)) >>> 0;
  return hash;
}
