import { createLogUpdate } from "log-update";
import type { LiveView } from "../probe/report.ts";
import { escapeText } from "../text/escape.ts";
import { formatCount, formatSeconds, sparkline } from "../text/format.ts";
import { createStyle, measure, truncate, type Style } from "./style.ts";
import { renderTable } from "./table.ts";

/** Lines kept free at the bottom, so that a redraw never scrolls. */
const MARGIN = 2;

export interface LiveStatus {
  readonly command: string;
  readonly host: string;
  /** Seconds since `ready`. */
  readonly elapsed: number;
  /** Seconds, null when it runs until Ctrl-C. */
  readonly duration: number | null;
  readonly lost: number;
}

/** The page of one moment, cut to the terminal. */
export function renderLive(view: LiveView, status: LiveStatus, rows: number, style: Style): string {
  const time =
    status.duration === null
      ? `${formatSeconds(status.elapsed)} · Ctrl-C ends it with a report`
      : `${formatSeconds(status.elapsed)} of ${formatSeconds(status.duration)}`;
  const lost = status.lost > 0 ? style.tone(` · ${formatCount(status.lost)} lost`, "bad") : "";
  const head = truncate(escapeText(`trace ${status.command} · ${status.host} · ${time}`), style.width);
  const bars = sparkline(view.spark, Math.max(10, Math.min(40, style.width - measure(view.headline) - 2)));
  const headline = truncate(escapeText(view.headline), style.width);
  const lines = [`${style.tone(head, "dim")}${lost}`];
  lines.push(
    measure(headline) + measure(bars) + 2 <= style.width
      ? `${style.tone(headline, "strong")}  ${bars}`
      : style.tone(headline, "strong"),
  );
  if (view.table !== null && view.table.rows.length > 0) {
    lines.push("", ...renderTable(view.table.columns, view.table.rows, style));
  }
  return lines.slice(0, Math.max(2, rows - MARGIN)).join("\n");
}

export interface LiveScreen {
  draw(view: LiveView, status: LiveStatus): void;
  /** A line that stays, above the page. */
  print(line: string): void;
  /** Removes the page: the report takes its place. */
  clear(): void;
}

/** A page on a terminal that is redrawn in place (log-update: only what changed is written) and follows a resize. */
export function createLiveScreen(stream: NodeJS.WriteStream, color: boolean): LiveScreen {
  const update = createLogUpdate(stream);
  let last: (() => void) | null = null;
  const onResize = () => last?.();
  stream.on("resize", onResize);
  return {
    draw(view, status) {
      last = () =>
        update(renderLive(view, status, stream.rows ?? 24, createStyle(stream.columns ?? 80, color)));
      last();
    },
    print: (line) => update.persist(line),
    clear() {
      stream.off("resize", onResize);
      update.clear();
      update.done();
    },
  };
}
