import type { EndInfo, JsonObject, ProbeResult, ProbeRun, RunContext } from "../../src/probe/define.ts";
import type { LiveView } from "../../src/probe/report.ts";
import { diagnoseRetransmits } from "../../src/diagnose/rules/retrans/diagnose.ts";
import { counterRecords } from "../../src/reduce/change-records.ts";
import { createReasonTable, listDropFacts, stackKeys } from "../../src/reduce/drop-facts.ts";
import { createEvidenceBook } from "../../src/reduce/evidence-book.ts";
import type { Answer, Ask } from "../../src/reduce/fact.ts";
import { createNames } from "../../src/reduce/names.ts";
import { createPacketCounters } from "../../src/reduce/packet-counters.ts";
import { createStackBook } from "../../src/reduce/stacks.ts";
import { formatCount, formatRate, plural } from "../../src/text/format.ts";
import { createRetransCounters } from "./counters.ts";
import { parseDropSample } from "./drop-sample.ts";
import type { Flow, Kind } from "./flow.ts";
import { buildFacts } from "./join.ts";
import { buildProfiles, flowGroup, resetCause, resetKeys, retransmitKeys } from "./profile.ts";
import { buildReport, countedSegments, flowTable, formatFlow, tellKinds, type Totals } from "./report.ts";
import {
  listResets,
  listRetransmits,
  nameFlow,
  nameReset,
  nameRetransmit,
  type Naming,
  type RetransmitRow,
} from "./rows.ts";
import { parseEvent, parseSample, type Event, type Sample } from "./samples.ts";

/** Intervals the sparkline remembers. */
const MAX_SPARK = 120;
const LIVE_ROWS = 12;
/** Samples whose flow waits for its name: older ones are filed under the kind alone. */
const MAX_WAITING = 4096;

/** The reading side of `trace retrans`. */
export function runRetrans(context: RunContext): ProbeRun {
  const { tables } = context.session;
  // Without the kernel's types an event is known to be one segment or more: only the kernel's counter says how many.
  const hasSegments = tables["types"] !== false;
  const toSegments = (segments: number): number | null => (hasSegments ? segments : null);
  const toRow = (row: RetransmitRow) => ({ ...toRecord(row), segments: toSegments(row.segments) });
  const ask = (question: Ask) => context.ask(question);
  const counters = createRetransCounters();
  const packets = createPacketCounters({ "@drop4": 4, "@drop6": 6 });
  const names = createNames(ask);
  const evidence = createEvidenceBook(ask);
  const stacks = createStackBook();
  const dropStacks = createStackBook();
  const reasons = createReasonTable(objectOf(tables["reasons"]), tables["reasonField"] === true);
  const naming: Naming = { names, evidence, counters, resetReasons: objectOf(tables["resetReasons"]) };
  const samples: Sample[] = [];
  const events: Event[] = [];
  const spark: number[] = [];
  let reportedSegments = 0;
  let reportedMalformed = 0;
  let clockOffset: number | null = null;
  for (const [key, value] of Object.entries(objectOf(tables["netns"])))
    names.fact({ fact: "netns", key, value });

  function malformed(count = 1): void {
    context.notice("warning", "malformed", "output of the program that could not be read", count);
  }

  function wantFlow(flow: Flow, socket: number): void {
    names.want({ netns: flow.netns, ifindex: 0, site: 0 });
    evidence.wantOwner(socket);
  }

  /** Questions go out as soon as a flow is known: the process behind a short connection is soon gone. */
  function wantNames(): void {
    for (const { flow } of counters.retransmits.values()) wantFlow(flow, counters.socket(flow)?.inode ?? 0);
    for (const { flow } of counters.resets.values()) wantFlow(flow, counters.socket(flow)?.inode ?? 0);
    const found = counters.malformed + packets.malformed;
    if (found > reportedMalformed) malformed(found - reportedMalformed);
    reportedMalformed = found;
  }

  function readText(text: string, at: number): void {
    if (text.startsWith("D\t")) {
      const sample = parseDropSample(text);
      if (sample === null) return malformed();
      dropStacks.add(stackKeys(sample.key), sample.frames);
      if (sample.symbol !== null) names.learnSymbol(sample.key.site, sample.symbol);
      if (sample.dev !== null && sample.key.netns !== 0)
        names.learnDevice(sample.key.netns, sample.key.ifindex, sample.dev);
      return;
    }
    if (text.startsWith("S\t") || text.startsWith("T\t")) {
      const sample = parseSample(text);
      if (sample === null) return malformed();
      wantFlow(sample.flow, sample.socket);
      if (samples.length < MAX_WAITING) samples.push(sample);
      return;
    }
    const event = parseEvent(text);
    if (event === null) return malformed();
    // The kernel's clock against the session's: taken once, as near as the first event's delivery.
    clockOffset ??= at - event.seconds;
    wantFlow(event.flow, event.type === "reset" ? event.inode : event.socket.inode);
    events.push(event);
  }

  /** Events wait for the end of the interval: by then it is known who owns their sockets. */
  function flushEvents(): void {
    for (const event of events.splice(0)) {
      const at = event.seconds + (clockOffset ?? 0);
      if (event.type === "reset") {
        const row = nameReset(event.flow, event.what, event.inode, naming);
        context.print(
          `reset ${row.direction} ${row.reason ?? ""}  ${formatFlow(row)}  ${row.netns?.name ?? ""}`,
        );
        context.emit("reset", at, { ...toRecord(row), count: 1 });
        continue;
      }
      const row = nameRetransmit(event.flow, event.what, event.socket, naming);
      const isMade = event.segments > 0;
      context.print(
        `${row.kind} ${row.state ?? ""}  ${hasSegments ? plural(event.segments, "segment") : ""}  ${formatFlow(row)}  ${row.comm ?? ""}  ${row.netns?.name ?? ""}${event.error === 0 ? "" : `  error ${event.error}`}`,
      );
      context.emit("retransmit", at, {
        ...toRecord(row),
        count: isMade ? 1 : 0,
        segments: toSegments(event.segments),
        error: event.error === 0 ? null : event.error,
      });
    }
  }

  function total(): Totals {
    const byKind: Record<Kind, number> = { rto: 0, fast: 0, tlp: 0, syn: 0, synack: 0, other: 0 };
    let [count, segments, sent, received] = [0, 0, 0, 0];
    for (const row of counters.retransmits.values()) {
      byKind[row.kind] += row.segments;
      count += row.events;
      segments += row.segments;
    }
    for (const row of counters.resets.values()) {
      if (row.direction === "sent") sent += row.count;
      else received += row.count;
    }
    return { events: count, segments, byKind, sent, received };
  }

  function fileSamples(): void {
    for (const { flow, what, frames } of samples) {
      const group = flowGroup(nameFlow(flow, 0, naming));
      if ("retransmit" in what) stacks.add(retransmitKeys(group, what.retransmit.kind), frames);
      else stacks.add(resetKeys(group, resetCause(nameReset(flow, what.reset, 0, naming))), frames);
    }
  }

  return {
    message(message, at) {
      if (counters.read(message)) wantNames();
      else if (packets.read(message)) for (const { key } of packets.flows) names.want(key);
      else if (message.kind === "text") readText(message.text, at);
    },
    fact(fact: Answer) {
      names.fact(fact);
      evidence.fact(fact);
    },
    interval(seconds) {
      wantNames();
      flushEvents();
      const now = total();
      const segments = now.segments - reportedSegments;
      reportedSegments = now.segments;
      const flows = listRetransmits(naming, true);
      const resets = listResets(naming, true);
      counters.settle();
      if (seconds > 0) {
        spark.push(segments / seconds);
        if (spark.length > MAX_SPARK) spark.shift();
      }
      return {
        events: flows.reduce((sum, row) => sum + row.count, 0),
        segments: toSegments(segments),
        flows: flows.map(toRow),
        resets: resets.map(toRecord),
      };
    },
    live: (): LiveView => {
      const { segments, byKind, sent, received } = total();
      return {
        headline: `${hasSegments ? formatCount(segments) : `${formatCount(segments)} times`} sent again (${formatRate(spark.at(-1) ?? 0)}/s)${segments === 0 ? "" : ` · ${tellKinds(byKind)}`} · resets ${formatCount(sent)} sent, ${formatCount(received)} received`,
        spark,
        table: flowTable(listRetransmits(naming, false), LIVE_ROWS, hasSegments),
        lost: 0,
      };
    },
    finish(end: EndInfo): ProbeResult {
      wantNames();
      flushEvents();
      const rows = listRetransmits(naming, false);
      const resets = listResets(naming, false);
      const totals = total();
      const networks = evidence.networks();
      const drops = listDropFacts(packets, names, reasons, dropStacks);
      // Nobody looked for drops of these connections: nothing follows from having seen none.
      const findings =
        networks.length === 0 || !hasSegments
          ? []
          : diagnoseRetransmits(buildFacts({ ...naming, seconds: end.seconds, drops, reasons }));
      fileSamples();
      return {
        summary: {
          retransmits: {
            events: totals.events,
            segments: hasSegments ? totals.segments : countedSegments(networks),
            byKind: Object.fromEntries(
              Object.entries(totals.byKind).map(([kind, segments]) => [kind, toSegments(segments)]),
            ),
          },
          resets: { sent: totals.sent, received: totals.received },
          flows: rows.map(toRow),
          resetFlows: resets.map(toRecord),
          counters: counterRecords(networks),
        },
        findings,
        report: buildReport({
          session: context.session,
          rows,
          resets,
          totals,
          findings,
          networks,
          end,
          spark,
        }),
        profiles: buildProfiles(rows, resets, stacks),
      };
    },
  };
}

function objectOf(value: unknown): JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as JsonObject) : {};
}

function toRecord<
  Row extends { readonly netns: { readonly inode: number; readonly name: string | null } | null },
>(row: Row): Omit<Row, "netns"> & { netns: { inode: number; name: string | null } | null } {
  return { ...row, netns: row.netns === null ? null : { ...row.netns } };
}
