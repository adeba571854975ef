import { EXIT, TraceError } from "../error.ts";
import type { JsonObject, SessionInfo } from "../probe/define.ts";
import type { Block, LiveView } from "../probe/report.ts";
import { writeSpeedscope } from "../profile/write.ts";
import { profileName } from "../session/clock.ts";
import type { Notice } from "../session/notices.ts";
import type { Session } from "../session/session.ts";
import { escapeText, quoteShell } from "../text/escape.ts";
import { formatCount, formatSeconds } from "../text/format.ts";
import { createLiveScreen, type LiveScreen } from "../view/live.ts";
import { renderProgress, renderReport } from "../view/report.ts";
import { createStyle } from "../view/style.ts";
import type { CommandIo } from "./io.ts";
import { createRecordWriter } from "./output.ts";
import type { TraceOptions } from "./trace-options.ts";

/** Bytes of event lines that wait for a slow reader; more are dropped and counted. */
const MAX_UNREAD = 64 << 20;

export interface Presenter {
  record(this: void, record: JsonObject): void;
  notice(this: void, notice: Notice): void;
  print(this: void, line: string): void;
  live(this: void, view: LiveView, elapsed: number): void;
  ready(): void;
  /** Gives the terminal back, whatever happened. */
  close(this: void): void;
  /** After the end: profile, findings, summary, report. `failure`: what ended the input early. Throws TraceError for what went wrong, after everything is out. */
  conclude(session: Session, failure?: TraceError | null): Promise<void>;
}

/**
 * Shows one session: NDJSON on stdout, or a live page that the report replaces, or plain progress lines on stderr.
 * `onGone` is called when the reader of stdout went away.
 */
export function createPresenter(
  info: SessionInfo,
  values: TraceOptions,
  io: CommandIo,
  onGone: () => void,
  { isReplay = false, keepsLines = false }: { isReplay?: boolean; keepsLines?: boolean } = {},
): Presenter {
  const isJson = values.format === "json";
  const isQuiet = values.quiet === true;
  const writer = createRecordWriter(io.stdout);
  const screen: LiveScreen | null =
    !isJson && !isReplay && !isQuiet && io.stdout.isTTY
      ? createLiveScreen(io.stdout, io.color, keepsLines || info.options["events"] === true)
      : null;
  screen?.wait(`trace ${info.command} · ${info.host} · attaching the probes …`);
  const duration = typeof info.options["duration"] === "number" ? info.options["duration"] : null;
  let lost = 0;
  let unwritten = 0;
  let isGone = false;

  let goneBecause = "";
  const onStreamError = (error: NodeJS.ErrnoException) => {
    if (!isGone) onGone();
    if (!isGone)
      goneBecause =
        error.code === "EPIPE"
          ? "the reader of stdout went away"
          : error.code === "ENOSPC"
            ? "no space left on the device"
            : error.message;
    isGone = true;
  };
  io.stdout.on("error", onStreamError);

  // What is said while the page stands would be drawn over: it waits.
  let isPageOpen = screen !== null;
  const waiting: string[] = [];
  const say = (line: string) => {
    if (isQuiet) return;
    if (isPageOpen) waiting.push(line);
    else io.stderr.write(`${escapeText(line)}\n`);
  };
  const closePage = () => {
    screen?.close();
    isPageOpen = false;
    for (const line of waiting.splice(0)) say(line);
  };

  function profilePath(): string | null {
    if (values.profile === false) return null;
    return values.profile ?? profileName(info.command, info.host, info.start);
  }

  return {
    record(record) {
      if (isJson && !isGone && !writer.write(record)) unwritten += 1;
    },
    notice(notice) {
      if (notice.code === "lost-events") lost += notice.count;
      if (notice.level === "info" && values.verbose !== true) return;
      say(
        `trace: ${notice.level === "info" ? "" : `${notice.level}: `}${notice.message}${notice.count > 1 ? ` (${formatCount(notice.count)} times)` : ""}`,
      );
    },
    print(line) {
      if (isJson || isGone) return;
      if (screen !== null) screen.print(escapeText(line));
      else if (io.stdout.writableLength > MAX_UNREAD) unwritten += 1;
      else io.stdout.write(`${escapeText(line)}\n`);
    },
    live(view, elapsed) {
      if (isJson || isReplay) return;
      if (screen !== null)
        screen.draw(view, {
          command: info.command,
          host: info.host,
          elapsed,
          duration,
          lost: view.lost + lost,
        });
      else say(renderProgress(elapsed, view.headline, createStyle(io.width, io.color)));
    },
    ready() {
      if (isReplay || screen !== null) return;
      const until = duration === null ? "until Ctrl-C" : `for ${formatSeconds(duration)}`;
      say(`trace ${info.command}: all probes are attached, tracing ${until}`);
    },
    close: closePage,
    async conclude(session, cause = null) {
      const wanted = profilePath();
      const end = session.finish(wanted);
      let profile: string | null = null;
      let failure: TraceError | null = end.error ?? cause;
      if (wanted !== null && end.result.profiles.length > 0) {
        try {
          await writeSpeedscope(wanted, {
            name: `trace ${info.command} on ${info.host}, ${info.start}`,
            profiles: end.result.profiles,
          });
          profile = wanted;
        } catch (error) {
          if (!(error instanceof TraceError)) throw error;
          failure ??= error;
        }
      }
      session.close({ ...end, error: failure }, profile);
      closePage();
      if (values.verbose === true) for (const line of end.stderr) say(`bpftrace: ${line}`);
      if (!isJson && !isGone)
        io.stdout.write(
          renderReport([...end.result.report, ...profileBlock(profile)], createStyle(io.width, io.color)),
        );
      if (unwritten > 0)
        say(
          `trace: warning: ${formatCount(unwritten)} records were dropped: the reader of stdout was too slow`,
        );
      io.stdout.off("error", onStreamError);
      if (failure !== null) throw failure;
      if (isGone) {
        throw new TraceError(EXIT.failed, "the output could not be written", {
          why: goneBecause,
          hint: profile === null ? null : `trace view ${quoteShell(profile)}`,
        });
      }
    },
  };
}

function profileBlock(profile: string | null): Block[] {
  if (profile === null) return [];
  return [
    {
      kind: "text",
      text: `Profile  ${profile}\n         open it: trace view ${quoteShell(profile)}`,
      tone: "plain",
    },
  ];
}
