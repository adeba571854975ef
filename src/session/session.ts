import { EXIT, TraceError, type ExitCode } from "../error.ts";
import type { Finding } from "../diagnose/finding.ts";
import type { Ask, JsonObject, Options, ProbeDefinition, ProbeResult, SessionInfo } from "../probe/define.ts";
import type { LiveView } from "../probe/report.ts";
import { createDecoder } from "../wire/decode.ts";
import { isMapFull, type Message } from "../wire/message.ts";
import type { Failure } from "../wire/failure.ts";
import { explainFailure } from "../wire/stderr.ts";
import { parseBpftraceVersion } from "../wire/version.ts";
import { isoTime, roundTime } from "./clock.ts";
import type { Input } from "./input.ts";
import { createNotices, type Notice } from "./notices.ts";
import { READY_LINE } from "./ready.ts";

/** Where a session's output goes. All are called synchronously from `push()`. */
export interface Sinks {
  /** One NDJSON record. */
  record(record: JsonObject): void;
  notice(notice: Notice): void;
  /** One line for people. */
  print(line: string): void;
  /** bpftrace says that every probe is attached: time for the snapshots and the `ready` input. */
  attached(): void;
  ask(ask: Ask): void;
  live(view: LiveView, elapsed: number): void;
}

export interface SessionEnd {
  readonly code: ExitCode;
  /** Why it did not end well, or null. */
  readonly error: TraceError | null;
  readonly result: ProbeResult;
  readonly seconds: number;
  readonly lost: number;
  readonly endedAt: number;
  readonly notices: readonly Notice[];
  /** bpftrace's stderr, for `-v`. */
  readonly stderr: readonly string[];
}

export interface Session {
  push(input: Input): void;
  /** The programs ran: there is something to report, even if it ended badly. */
  readonly isAttached: boolean;
  /** After the `exit` input: concludes. */
  finish(profile: string | null): SessionEnd;
  /** The `finding` records and the last one, `summary`. */
  close(end: SessionEnd, profile: string | null): void;
}

/** Lines of bpftrace's stderr kept for the explanation of a failure: half of them the first, half the last. */
const MAX_STDERR_LINES = 400;

/** What is asked of the machine, in words. */
const FACT_WORDS: Readonly<Record<string, string>> = {
  network: "what its counters, rules and settings are, without which there are no findings",
  owner: "which processes hold its sockets",
  netns: "who its network namespaces are",
  device: "what its devices are called",
  ksym: "which kernel functions these are",
  kthreads: "what its kernel threads do",
  cpu: "how busy its CPUs were",
  frames: "which functions these are",
  process: "which processes these are",
};

function tellUntold(facts: readonly string[]): string {
  return facts.map((fact) => FACT_WORDS[fact] ?? fact).join("; ");
}

/** One run of one probe: inputs in, records out. Pure: the clock and the world come in as inputs. */
export function createSession(
  definition: ProbeDefinition,
  info: SessionInfo,
  options: Options,
  sinks: Sinks,
): Session {
  const version = info.bpftrace === null ? null : parseBpftraceVersion(info.bpftrace);
  const decoder = createDecoder(version);
  const notices = createNotices();
  const stderr: string[] = [];
  const asked = new Set<string>();
  // A source that is not the kernel has no machine to ask.
  const missing = new Set(info.bpftrace === null ? [] : (definition.evidence ?? []));
  let lost = 0;
  let attached = false;
  let readyAt: number | null = null;
  let stoppedAt: number | null = null;
  let lastTick = 0;
  let now = 0;
  let exit: Extract<Input, { kind: "exit" }> | null = null;

  const time = (at: number) => isoTime(info.start, at);
  const record = (type: string, at: number, fields: JsonObject) =>
    sinks.record({ type, time: time(at), ...fields });
  const notice = (entry: Notice) => notices.add(entry);

  record("session", 0, {
    version: 1,
    command: info.command,
    argv: info.argv,
    host: info.host,
    kernel: info.kernel,
    bpftrace: info.bpftrace,
    capabilities: info.capabilities,
  });
  for (const message of info.degraded) notice({ level: "warning", code: "degraded", message, count: 1 });
  flushNotices(0);

  const run = definition.run({
    session: info,
    options,
    emit: (type, at, fields) => record(type, at, fields),
    print: (line) => sinks.print(line),
    notice: (level, code, message, count = 1) => notice({ level, code, message, count }),
    ask(ask) {
      const key = `${ask.fact}\0${ask.key}`;
      if (asked.has(key)) return;
      asked.add(key);
      sinks.ask(ask);
    },
  });

  function flushNotices(at: number): void {
    for (const entry of notices.take()) {
      record("notice", at, {
        level: entry.level,
        code: entry.code,
        message: entry.message,
        count: entry.count,
      });
      sinks.notice(entry);
    }
  }

  function handle(message: Message, at: number): void {
    switch (message.kind) {
      case "ready":
      case "attached":
        return;
      case "lost":
        lost += message.events;
        notice({
          level: "warning",
          code: "lost-events",
          message: "events lost: the kernel's buffer was full",
          count: message.events,
        });
        return;
      case "runtime":
        if (isMapFull(message)) {
          notice({
            level: "warning",
            code: "map-full",
            message: "a table in the kernel is full; the rest is counted without detail",
            count: 1,
          });
        } else
          notice({ level: "warning", code: "runtime", message: `bpftrace: ${message.message}`, count: 1 });
        return;
      case "diagnostic":
        notice({
          level: "info",
          code: "diagnostic",
          message: `bpftrace: ${message.text.slice(0, 200)}`,
          count: 1,
        });
        return;
      case "malformed":
        notice({
          level: "warning",
          code: "malformed",
          message: `output that could not be read: ${message.why}`,
          count: 1,
        });
        return;
      case "unknown":
        notice({
          level: "warning",
          code: "malformed",
          message: `a record of unknown type ${JSON.stringify(message.type)}`,
          count: 1,
        });
        return;
      case "text":
        if (message.text === READY_LINE) {
          if (!attached) sinks.attached();
          attached = true;
          return;
        }
        run.message(message, at);
        return;
      case "map":
      case "hist":
      case "stats":
      case "value":
        run.message(message, at);
    }
  }

  return {
    get isAttached() {
      return attached;
    },
    push(input) {
      now = input.at;
      switch (input.kind) {
        case "line":
          for (const message of decoder.decode(input.line)) handle(message, input.at);
          return;
        case "stderr":
          if (stderr.length >= MAX_STDERR_LINES) stderr.splice(MAX_STDERR_LINES / 2, 1);
          stderr.push(input.line);
          return;
        case "ready":
          readyAt = input.at;
          lastTick = input.at;
          record("ready", input.at, {});
          return;
        case "fact":
          if (input.fact.key === "after" && input.fact.value !== null) missing.delete(input.fact.fact);
          run.fact?.(input.fact, input.at);
          return;
        case "tick": {
          if (readyAt === null) return;
          const fields = run.interval(input.at - lastTick);
          if (fields !== null)
            record("interval", input.at, { seconds: roundTime(input.at - lastTick), ...fields });
          lastTick = input.at;
          flushNotices(input.at);
          sinks.live(run.live(), input.at - readyAt);
          return;
        }
        case "stop":
          stoppedAt ??= input.at;
          return;
        case "exit":
          exit = input;
          if (input.misses !== null && input.misses > 0) {
            lost += input.misses;
            notice({
              level: "warning",
              code: "lost-events",
              message: "events lost: the kernel skipped the program because another one ran on that CPU",
              count: input.misses,
            });
          }
          if (input.killed) {
            notice({
              level: "warning",
              code: "killed",
              message: "bpftrace did not end when asked and was killed: its last numbers may be missing",
              count: 1,
            });
          }
          if (input.cut === true) {
            notice({
              level: "warning",
              code: "truncated",
              message: "the recording ends before the session did: this is what it holds",
              count: 1,
            });
          }
      }
    },
    finish(profile) {
      const endedAt = stoppedAt ?? now;
      const seconds = readyAt === null ? 0 : roundTime(Math.max(0, endedAt - readyAt));
      if (readyAt !== null) {
        const fields = run.interval(Math.max(0, now - lastTick));
        if (fields !== null)
          record("interval", now, { seconds: roundTime(Math.max(0, now - lastTick)), ...fields });
      }
      const error = judgeEnd();
      const untold = listUntold();
      if (untold.length > 0)
        notice({
          level: "warning",
          code: "degraded",
          message: `this machine did not say in time ${tellUntold(untold)}: what depends on it is missing`,
          count: 1,
        });
      const result = run.finish({ seconds, lost, profile });
      flushNotices(now);
      return {
        code: error?.code ?? EXIT.ok,
        error,
        result,
        seconds,
        lost,
        endedAt: now,
        notices: notices.all(),
        stderr,
      };
    },
    close(end, profile) {
      for (const finding of end.result.findings) record("finding", end.endedAt, { ...toJson(finding) });
      record("summary", end.endedAt, {
        seconds: end.seconds,
        // A probe that counts what it sent and what arrived may know of more.
        lost: end.lost,
        ...end.result.summary,
        findings: end.result.findings.map(toJson),
        profile,
        ...(end.error === null
          ? {}
          : { error: { message: end.error.message, why: end.error.why, hint: end.error.hint } }),
      });
    },
  };

  /**
   * What is not known of the machine at the end: what the launcher did not wait for any longer, and the evidence whose answer was empty. A
   * recording that was cut has said so already.
   */
  function listUntold(): string[] {
    const isWhole = readyAt !== null && stoppedAt !== null && exit?.cut !== true;
    return [...new Set([...(exit?.unanswered ?? []), ...(isWhole ? missing : [])])];
  }

  /** An end we asked for is a good end, and so is bpftrace's own exit(); everything else has a cause to tell. */
  function judgeEnd(): TraceError | null {
    if (exit === null || exit.cut === true) return null;
    if (exit.startError !== null) {
      return new TraceError(EXIT.host, "bpftrace could not be started", {
        why: exit.startError,
        hint: "trace doctor",
      });
    }
    if (
      stoppedAt !== null &&
      (exit.code === 0 || exit.signal !== null || exit.code === 130 || exit.code === 143)
    )
      return null;
    if (exit.code === 0 && attached) return null;
    const failure = explainFailure({ stderr, exitCode: exit.code, signal: exit.signal }, version);
    return new TraceError(attached ? EXIT.failed : codeOf(failure), failure.message, {
      why: failure.why,
      hint: failure.hint,
    });
  }

  /** The exit code for a program that never ran. */
  function codeOf(failure: Failure): ExitCode {
    if (failure.code === "other" || failure.code === "killed" || failure.code === "abort") return EXIT.failed;
    return failure.code === "syntax" && definition.isGiven === true ? EXIT.usage : EXIT.host;
  }
}

function toJson(finding: Finding): JsonObject {
  const { rule, ...rest } = finding;
  return { ...rest, ...(rule === undefined ? {} : { rule: { ...rule } }) };
}
