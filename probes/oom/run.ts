import { parseKmsgRecord } from "../../src/evidence/kernel-log/kmsg.ts";
import { compareSeverity } from "../../src/diagnose/order.ts";
import type {
  EndInfo,
  Fact,
  Json,
  JsonObject,
  ProbeResult,
  ProbeRun,
  RunContext,
} from "../../src/probe/define.ts";
import type { CgroupChain, TaskFacts } from "./combine.ts";
import { withGrowth } from "./combine.ts";
import { parseEvent } from "./events.ts";
import { readLines, SAVED_LOG } from "./kernel-line.ts";
import { sayName, sayProcess } from "./log/words.ts";
import { createOomParser } from "./log/parse.ts";
import { createOomSummariser } from "./log/summarise.ts";
import { cgroupQuestion, createKillJoiner, type JoinedKill } from "./pending.ts";
import { createProfileBook } from "./profiles.ts";
import type { OomReport } from "./record.ts";
import { sayHeadroom, tightTable } from "./headroom.ts";
import { buildReport, liveTable } from "./report.ts";
import { createSampleBook, rateOf, readPressure } from "./samples.ts";
import { createSigkillWatch } from "./sigkill-watch.ts";
import { createSigkillBook, type Sigkill } from "./sigkills.ts";
import { createTeller } from "./tell.ts";
import { recordFields, residentBytes, sizeCell, wallSeconds } from "./words.ts";

/** Kills of a saved log that are told in full text; the report groups all of them. */
const MAX_TOLD = 20;
/** Kills the live page and the report keep. */
const MAX_RECENT = 50;
const USUAL_PAGE = 4096;

/** The reading side of `trace oom`. */
export function runOom(context: RunContext): ProbeRun {
  const { session, options } = context;
  const isSaved = typeof options["log"] === "string";
  const start = Date.parse(session.start) / 1000;
  const pageSize = typeof session.tables["pageSize"] === "number" ? session.tables["pageSize"] : USUAL_PAGE;
  const parser = createOomParser();
  const past = createOomParser();
  const summariser = createOomSummariser();
  const profiles = createProfileBook();
  const samples = createSampleBook();
  const teller = createTeller({ start, isSaved, samples });
  const sigkills = createSigkillBook();
  const watch = createSigkillWatch(samples);
  const recent: { report: OomReport; at: number }[] = [];
  let followsLog = false;
  const joiner = createKillJoiner(pageSize, () => followsLog);
  let earlier: OomReport[] | null = null;
  let now = 0;
  // The last tick; intervals count from `ready`, which comes just after the first snapshot.
  let tickAt = 0;
  let kills = 0;
  let reported = 0;
  let sampleNumber = 0;
  let sinceSample = 0;
  let overwritten = 0;

  function tell({ report: found, at }: JoinedKill): void {
    const report = withGrowth(found, (task) =>
      rateOf(samples.growth(task.pid, task.comm, task.rssBytes, at)),
    );
    const { victim } = report;
    const growth =
      victim.pid === null || victim.comm === null
        ? null
        : rateOf(samples.growth(victim.pid, victim.comm, residentBytes(victim), at));
    kills += 1;
    summariser.add(report);
    profiles.add(report);
    recent.push({ report, at });
    if (recent.length > MAX_RECENT) recent.shift();
    const wall = wallSeconds(report);
    context.emit(
      "oom",
      isSaved && wall !== null ? wall - start : at,
      recordFields(report, growth, samples.pressure),
    );
    if (isSaved && kills > MAX_TOLD) return;
    for (const line of teller.tell(report, at)) context.print(line);
  }

  function tellSigkill({ kill, at }: { readonly kill: Sigkill; readonly at: number }): void {
    sigkills.add(kill);
    const { sender, target, guard } = kill;
    context.emit("sigkill", at, { sender: { ...sender }, target: { ...target }, guard });
    if (!guard) return;
    const size = target.rssBytes === null ? "" : `, ${sizeCell(target.rssBytes)},`;
    context.print(
      `SIGKILL  ${sayProcess(target.comm, target.pid)}${size} was killed by ${sayName(sender.comm)}: a memory guard in user space, not the kernel`,
    );
  }

  function settle(): void {
    for (const kill of joiner.take(now)) tell(kill);
  }

  function take(reports: readonly OomReport[]): void {
    for (const report of reports) {
      if (isSaved) tell({ report, at: now });
      else joiner.report(report, now);
    }
  }

  function readRecords(value: Json, into: typeof parser): OomReport[] {
    const reports: OomReport[] = [];
    for (const text of Array.isArray(value) ? (value as readonly Json[]) : []) {
      const record = typeof text === "string" ? parseKmsgRecord(text) : null;
      // Programs can write into the ring buffer too: only facility 0 is the kernel's own word.
      if (record?.facility === 0) reports.push(...into.push(record));
    }
    return reports;
  }

  function readLog({ key, value }: Fact): void {
    if (key === "past") {
      followsLog = true;
      earlier = [...readRecords(value, past), ...past.end()];
    } else if (key === "lines") take(readRecords(value, parser));
    else if (key === "quiet") take(parser.flush());
    else if (key === "lost") overwritten += typeof value === "number" ? value : 1;
    else if (key === "error") {
      followsLog = false;
      context.notice(
        "warning",
        "degraded",
        `the kernel log (/dev/kmsg) cannot be read (${typeof value === "string" ? value : "unknown"}): figures of use and task tables are missing, and limits where there are several`,
      );
    }
    settle();
  }

  function readSaved({ key, value }: Fact): void {
    if (key === "lines") take(parsedLines(value));
    else if (key === "counts" && value !== null && typeof value === "object" && !Array.isArray(value)) {
      const { records, foreign, malformed, truncated, cut } = value as JsonObject;
      if (records === 0)
        context.notice(
          "warning",
          "no-kernel-lines",
          typeof foreign === "number" && foreign > 0
            ? `the log has no line of the kernel, only of other programs (${String(foreign)} lines)`
            : "the log has no line of the kernel",
        );
      if (typeof malformed === "number" && malformed > 0)
        context.notice("warning", "malformed", "lines of the log that break its format", malformed);
      if (typeof truncated === "number" && truncated > 0)
        context.notice("warning", "truncated", "lines of the log that were too long and were cut", truncated);
      if (typeof cut === "string")
        context.notice("warning", "truncated", `the packed log ends early or is damaged: ${cut}`);
    }
  }

  function parsedLines(value: Json): OomReport[] {
    return readLines(value).flatMap((line) => parser.push(line));
  }

  function readText(text: string, at: number): void {
    const found = parseEvent(text, pageSize);
    if (found === null) {
      context.notice("warning", "malformed", "lines of the program that could not be read");
      return;
    }
    if (found.kind === "victim") {
      joiner.event(found.event, at);
      for (const pid of new Set([found.event.pid, found.event.invoker.pid]))
        context.ask({ fact: "task", key: String(pid) });
      const question = cgroupQuestion(found.event);
      if (question !== null) context.ask({ fact: "memory-cgroup", key: question });
    } else if (found.kind === "name") joiner.name(found.pid, found.comm);
    else if (found.kind === "birth") {
      const { event } = found;
      if (event !== null) samples.born({ pid: event.pid, start: event.startTicks, age: event.age }, at);
    } else if (found.kind === "request") joiner.request(found.event, at);
    else if (found.kind === "target") watch.name(found.pid, found.comm);
    else if (found.kind === "skipped") sigkills.skip(found.count);
    else if (watch.sent(found.sender, found.pid, at)) context.ask({ fact: "task", key: String(found.pid) });
    settle();
  }

  return {
    message(message, at) {
      now = Math.max(now, at);
      if (message.kind === "text") readText(message.text, at);
    },
    fact(fact, at) {
      now = Math.max(now, at);
      if (fact.fact === "kernel-log") readLog(fact);
      else if (fact.fact === SAVED_LOG) readSaved(fact);
      else if (fact.fact === "memory-sample") {
        samples.add(fact.value, at);
        if (fact.key === "before") tickAt = at;
      } else if (fact.fact === "task") {
        const task = readTask(fact.value);
        joiner.task(Number(fact.key), task);
        const sent = watch.task(Number(fact.key), task);
        if (sent !== null) tellSigkill(sent);
        settle();
      } else if (fact.fact === "memory-cgroup") {
        joiner.cgroup(fact.key, readChain(fact.value));
        settle();
      }
    },
    interval(seconds) {
      tickAt += seconds;
      now = Math.max(now, tickAt);
      take(parser.flush());
      settle();
      sinceSample += seconds;
      if (!isSaved && sinceSample >= samples.pause) {
        sinceSample = 0;
        sampleNumber += 1;
        context.ask({ fact: "memory-sample", key: String(sampleNumber) });
      }
      const fresh = kills - reported;
      reported = kills;
      if (isSaved) return null;
      return {
        kills: fresh,
        memAvailableBytes: samples.available,
        pressure: samples.pressure === null ? null : { ...samples.pressure },
        tightest: samples.tightest.map(({ path, ...figures }) => ({ cgroup: path, ...figures })),
      };
    },
    live: () => ({
      headline: sayHeadroom(kills, samples),
      spark: [],
      table: recent.length === 0 ? tightTable(samples) : liveTable(recent.map(({ report }) => report)),
      lost: 0,
    }),
    finish(end: EndInfo): ProbeResult {
      take(parser.end());
      for (const kill of joiner.end()) tell(kill);
      for (const sent of watch.end()) tellSigkill(sent);
      if (overwritten > 0)
        context.notice(
          "warning",
          "lost-log",
          "records of the kernel log were overwritten before they could be read",
          overwritten,
        );
      if (isSaved && kills > MAX_TOLD) {
        context.print(
          `     … and ${String(kills - MAX_TOLD)} more kills: --format json has them all, the report groups them`,
        );
      }
      const { notes } = parser;
      const result = summariser.result(notes);
      const findings = [...result.findings, ...sigkills.findings(samples.total)].sort(compareSeverity);
      const summary: JsonObject = {
        kills,
        byCgroup: result.byCgroup,
        earlierKills: earlier?.length ?? null,
        guardKills: sigkills.guards,
        otherSigkills: sigkills.others,
        exiting: joiner.exiting,
        suppressedReports: notes.suppressed,
        incidents: notes.incidentCount,
      };
      return {
        summary,
        findings,
        report: buildReport({
          session,
          end,
          isSaved,
          result,
          findings,
          earlier,
          samples,
          recent,
          sigkills: sigkills.line(),
        }),
        profiles: profiles.build(),
      };
    },
  };
}

function readTask(value: Json): TaskFacts | null {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const { cgroup, uid, oomScoreAdj, comm } = value as JsonObject;
  return {
    cgroup: typeof cgroup === "string" ? cgroup : null,
    uid: typeof uid === "number" ? uid : null,
    oomScoreAdj: typeof oomScoreAdj === "number" ? oomScoreAdj : null,
    comm: typeof comm === "string" ? comm : null,
  };
}

function readChain(value: Json): CgroupChain {
  if (!Array.isArray(value)) return [];
  return (value as readonly Json[]).flatMap((entry) => {
    if (entry === null || typeof entry !== "object" || Array.isArray(entry)) return [];
    const { path, pressure, ...figures } = entry as JsonObject;
    const figure = (name: string) => (typeof figures[name] === "number" ? figures[name] : null);
    if (typeof path !== "string") return [];
    return [
      {
        path,
        limitBytes: figure("limitBytes"),
        failcnt: figure("failcnt"),
        swapBytes: figure("swapBytes"),
        swapLimitBytes: figure("swapLimitBytes"),
        pressure: readPressure(pressure ?? null),
      },
    ];
  });
}
