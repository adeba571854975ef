import { createLogUpdate } from "log-update";
import type { LiveView } from "../probe/report.ts";
import { escapeText } from "../text/escape.ts";
import { formatCount, formatSeconds, sparkline } from "../text/format.ts";
import { createStyle, measure, truncate } from "./style.ts";
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

/** The page of one moment, cut to the terminal: a line that is wider would be wrapped, and push others off it. */
function renderLive(
  view: LiveView,
  status: LiveStatus,
  rows: number,
  columns: number,
  color: boolean,
): string {
  const style = createStyle(columns, color);
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
  return lines
    .slice(0, Math.max(2, rows - MARGIN))
    .map((line) => truncate(line, columns))
    .join("\n");
}

export interface LiveScreen {
  draw(view: LiveView, status: LiveStatus): void;
  /** One line until the first page. */
  wait(line: string): void;
  /** A line that stays, above the page. */
  print(line: string): void;
  /** Removes the page: the report takes its place. */
  close(): void;
}

const ENTER_PAGE = "\u001b[?1049h\u001b[H";
const LEAVE_PAGE = "\u001b[?1049l";
const CLEAR_PAGE = "\u001b[2J\u001b[H";

/**
 * A page on a terminal that is redrawn in place (log-update writes only what changed). It stands on the terminal's alternate
 * screen, as in top(1): a resize can be drawn anew without remains, and the report finds the screen as it was. With `lines`, when
 * lines are to stay (events), it stands below them on the normal screen.
 */
export function createLiveScreen(stream: NodeJS.WriteStream, color: boolean, lines: boolean): LiveScreen {
  const update = createLogUpdate(stream);
  let last: (() => void) | null = null;
  let isOpen = true;
  const onResize = () => {
    if (!lines) stream.write(CLEAR_PAGE);
    update.clear();
    last?.();
  };
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    stream.off("resize", onResize);
    process.off("exit", close);
    update.clear();
    update.done();
    if (!lines) stream.write(LEAVE_PAGE);
  };
  stream.on("resize", onResize);
  // Whatever ends the process, the terminal is given back as it was.
  process.on("exit", close);
  if (!lines) stream.write(ENTER_PAGE);
  return {
    draw(view, status) {
      if (!isOpen) return;
      last = () => update(renderLive(view, status, stream.rows ?? 24, stream.columns ?? 80, color));
      last();
    },
    wait: (line) => update(truncate(escapeText(line), stream.columns ?? 80)),
    print: (line) => update.persist(line),
    close,
  };
}
