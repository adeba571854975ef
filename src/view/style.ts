import cliTruncate from "cli-truncate";
import picocolors from "picocolors";
import stringWidth from "string-width";
import type { Tone } from "../probe/report.ts";

/** How a page is to look; decided once by the command, passed in everywhere. */
export interface Style {
  /** Columns of the terminal; 80 on a pipe. */
  readonly width: number;
  tone(text: string, tone: Tone): string;
}

export function createStyle(width: number, color: boolean): Style {
  const colors = picocolors.createColors(color);
  const tones: Readonly<Record<Tone, (text: string) => string>> = {
    plain: (text) => text,
    strong: colors.bold,
    good: colors.green,
    warn: colors.yellow,
    bad: (text) => colors.bold(colors.red(text)),
    dim: colors.dim,
  };
  return { width: Math.max(40, width), tone: (text, tone) => tones[tone](text) };
}

/** Terminal columns that `text` takes. */
export function measure(text: string): number {
  return stringWidth(text);
}

/** `text`, which may be styled, cut to `width` columns, with … where something is missing. */
export function truncate(text: string, width: number): string {
  return cliTruncate(text, width);
}

/** Words of `text` in lines of at most `width` columns; a longer word stands alone (commands must stay whole to be pasted). */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      const candidate = line === "" ? word : `${line} ${word}`;
      if (measure(candidate) <= width || line === "") line = candidate;
      else {
        lines.push(line);
        line = word;
      }
    }
    lines.push(line);
  }
  return lines;
}
