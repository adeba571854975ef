import type { EndInfo, Fact, JsonObject, ProbeResult, ProbeRun, RunContext } from "../../src/probe/define.ts";
import type { LiveView } from "../../src/probe/report.ts";
import { diagnoseRetransmits } from "../../src/diagnose/rules/retrans/diagnose.ts";
import { counterRecords } from "../../src/reduce/change-records.ts";
import { createEvidenceBook } from "../../src/reduce/evidence-book.ts";
import { listGaps } from "../../src/reduce/gaps.ts";
import { createNames } from "../../src/reduce/names.ts";
import { createPacketCounters } from "../../src/reduce/packet-counters.ts";
import { createStackBook } from "../../src/reduce/stacks.ts";
import { listDropFacts, stackKeys } from "../drops/drop-facts.ts";
import { createReasonTable } from "../drops/reasons.ts";
import { parseSample as parseDropSample } from "../drops/stacks.ts";
import { formatCount, formatRate, plural } from "../../src/text/format.ts";
import { createRetransCounters } from "./counters.ts";
import type { Flow } from "./flow.ts";
import { parseHz } from "./jiffies.ts";
import { buildFacts } from "./join.ts";
import { createOwnerBook } from "./owners.ts";
import { buildProfiles, flowGroup, resetCause, resetKeys, retransmitKeys } from "./profile.ts";
import {
  buildReport,
  connectionKey,
  countedSegments,
  flowTable,
  formatFlow,
  sumSegments,
  tellKinds,
} from "./report.ts";
import {
  countUnknown,
  isWanted,
  listResets,
  listRetransmits,
  nameFlow,
  nameReset,
  nameRetransmit,
  type Naming,
  type RetransmitRow,
} from "./rows.ts";
import { listShares } from "./shares.ts";
import { takeTotals } from "./totals.ts";
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
  const ask: RunContext["ask"] = (question) => context.ask(question);
  const counters = createRetransCounters();
  const packets = createPacketCounters({ "@drop4": 4, "@drop6": 6 });
  const names = createNames(ask);
  const evidence = createEvidenceBook(ask);
  const stacks = createStackBook();
  const dropStacks = createStackBook();
  const reasons = createReasonTable(objectOf(tables["reasons"]), tables["reasonField"] === true);
  const owners = createOwnerBook(evidence);
  const { pid, comm } = context.options;
  const isOfProcess = pid !== undefined || comm !== undefined;
  const naming: Naming = {
    names,
    evidence,
    owners,
    counters,
    resetReasons: objectOf(tables["resetReasons"]),
    hz: () => hz,
    isWanted: (owner) =>
      !isOfProcess ||
      (owner !== null &&
        (pid === undefined || owner.pid === pid) &&
        (comm === undefined || owner.comm === comm)),
  };
  const samples: Sample[] = [];
  const events: Event[] = [];
  const spark: number[] = [];
  let reported = { events: 0, segments: 0 };
  let hz: number | null = null;
  /** Segments a second of the last interval, by connection. */
  let rates: ReadonlyMap<string, number> = new Map();
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
      const sample = parseDropSample(text, "D");
      if (sample === null) return malformed();
      dropStacks.add(stackKeys(sample), sample.frames);
      if (sample.symbol !== null) names.learnSymbol(sample.site, sample.symbol);
      if (sample.dev !== null && sample.netns !== 0)
        names.learnDevice(sample.netns, sample.ifindex, sample.dev);
      return;
    }
    if (text.startsWith("S\t") || text.startsWith("T\t")) {
      const sample = parseSample(text);
      if (sample === null) return malformed();
      wantFlow(sample.flow, sample.socket);
      owners.sawPid(sample.flow, sample.pid);
      if (sample.number !== 0n) owners.sawReset(sample.flow, sample.number);
      if (samples.length < MAX_WAITING) samples.push(sample);
      return;
    }
    if (text.startsWith("P\t") || text.startsWith("O\t")) {
      if (!owners.read(text)) malformed();
      return;
    }
    if (text.startsWith("J\t")) {
      hz ??= parseHz(text);
      return;
    }
    const event = parseEvent(text);
    if (event === null) return malformed();
    // The kernel's clock against the session's: taken once, as near as the first event's delivery.
    clockOffset ??= at - event.seconds;
    wantFlow(event.flow, event.type === "reset" ? event.inode : event.socket.inode);
    owners.sawPid(event.flow, event.pid);
    events.push(event);
  }

  /** Events wait for the end of the interval: by then it is known who owns their sockets. */
  function flushEvents(): void {
    for (const event of events.splice(0)) {
      const at = event.seconds + (clockOffset ?? 0);
      if (!isWanted(event.flow, naming, event.type === "reset" ? event.inode : event.socket.inode)) continue;
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

  const total = () =>
    takeTotals(
      counters.totals,
      listRetransmits(naming, false),
      listResets(naming, false),
      isOfProcess ? countUnknown(naming) : null,
    );

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
    fact(fact: Fact) {
      names.fact(fact);
      evidence.fact(fact);
      if (fact.fact === "network" && fact.key === "after")
        for (const { level, message } of listGaps(evidence.networks()))
          context.notice(level, "degraded", message);
    },
    interval(seconds) {
      wantNames();
      flushEvents();
      const now = total();
      const sendings = Math.max(0, now.events - reported.events);
      const segments = Math.max(0, now.segments - reported.segments);
      reported = now;
      const flows = listRetransmits(naming, true);
      const resets = listResets(naming, true);
      counters.settle();
      if (seconds > 0) {
        const fresh = Map.groupBy(flows, connectionKey);
        rates = new Map([...fresh].map(([key, rows]) => [key, sumSegments(rows) / seconds]));
        spark.push(segments / seconds);
        if (spark.length > MAX_SPARK) spark.shift();
      }
      return {
        events: sendings,
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
        table: flowTable(listRetransmits(naming, false), LIVE_ROWS, hasSegments, rates),
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
      const drops = listDropFacts(packets.flows, names, reasons, dropStacks);
      // Without types nobody looked for drops of these connections: nothing follows from having seen none.
      const findings =
        networks.length === 0 || !hasSegments
          ? []
          : diagnoseRetransmits(buildFacts({ ...naming, seconds: end.seconds, drops, reasons }));
      const shares = listShares(rows, networks, {
        hasTypes: tables["types"] !== false,
        wanted: typeof tables["wantedNetns"] === "number" ? tables["wantedNetns"] : null,
      });
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
          unattributed: totals.unattributed,
          unattributedResets: totals.unattributedResets,
          shares: shares.map(toRecord),
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
          shares,
          end,
          spark,
        }),
        profiles: buildProfiles(rows, resets, stacks, totals),
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
