import type {
  EndInfo,
  Fact,
  Json,
  JsonObject,
  ProbeResult,
  ProbeRun,
  RunContext,
} from "../../src/probe/define.ts";
import type { LiveView } from "../../src/probe/report.ts";
import { formatCount, formatRate } from "../../src/text/format.ts";
import { createDropCounters } from "./counters.ts";
import { diagnose } from "../../src/diagnose/diagnose.ts";
import type { Finding } from "../../src/diagnose/finding.ts";
import { counterRecords, interfaceRecords } from "../../src/reduce/change-records.ts";
import { listGaps } from "../../src/reduce/gaps.ts";
import { createEvidenceBook } from "../../src/reduce/evidence-book.ts";
import { createNames } from "../../src/reduce/names.ts";
import { createStackBook } from "../../src/reduce/stacks.ts";
import { stackKeys } from "./drop-facts.ts";
import { buildFacts, socketsOfInterest } from "./facts.ts";
import { createReasonTable, type ReasonTable } from "./reasons.ts";
import { formatEvent, parseEvent } from "./events.ts";
import { createHookBook } from "./hooks.ts";
import { buildReport, causeTable } from "./report.ts";
import { causeOf, groupCauses, listRows, nameFlow, type FlowRow } from "./rows.ts";
import { buildProfiles, parseSample, type WeightedGroup } from "./stacks.ts";

/** Intervals the sparkline remembers. */
const MAX_SPARK = 120;
const LIVE_ROWS = 12;

/** The reading side of `trace drops`. */
export function runDrops(context: RunContext): ProbeRun {
  const counters = createDropCounters();
  const ask: RunContext["ask"] = (question) => context.ask(question);
  const names = createNames(ask);
  for (const fact of knownNetns(context.session.tables)) names.fact(fact);
  const reasons = readReasonTable(context.session.tables);
  const book = createStackBook();
  const hooks = createHookBook();
  const evidence = createEvidenceBook(ask, socketsOfInterest);
  const flows = () => hooks.correct(counters.flows);
  const showAll = context.options.all === true;
  const spark: number[] = [];
  let lastSeconds = 0.05;
  let reportedTotal = 0;
  let reportedMalformed = 0;
  let clockOffset: number | null = null;
  let hasSnapshot = false;

  const total = () => [...counters.totals.values()].reduce((sum, count) => sum + count, 0);

  function wantNames(): void {
    for (const { key } of counters.flows) names.want(key);
    if (counters.malformed > reportedMalformed) {
      context.notice(
        "warning",
        "malformed",
        "flow table entries that could not be read",
        counters.malformed - reportedMalformed,
      );
      reportedMalformed = counters.malformed;
    }
  }

  function readText(text: string, at: number): void {
    if (text.startsWith("S\t")) {
      const sample = parseSample(text);
      if (sample === null) return malformed();
      book.add(stackKeys(sample), sample.frames);
      hooks.add(sample);
      if (sample.symbol !== null) names.learnSymbol(sample.site, sample.symbol);
      if (sample.dev !== null && sample.netns !== 0)
        names.learnDevice(sample.netns, sample.ifindex, sample.dev);
      return;
    }
    const event = parseEvent(text);
    if (event === null) return malformed();
    // What came before the counting did is in no total.
    if (!counters.hasPrint && !hasSnapshot) return;
    if (event.symbol !== null) names.learnSymbol(event.key.site, event.symbol);
    if (event.dev !== null) names.learnDevice(event.key.netns, event.key.ifindex, event.dev);
    names.want(event.key);
    // The kernel's clock against the session's: taken once, as near as the first event's delivery.
    clockOffset ??= at - event.seconds;
    const { reason, ...row } = nameFlow({ ...event.key, hook: hooks.find(event.key) }, names, reasons);
    context.print(formatEvent(event, { reason, ...row }));
    context.emit("drop", event.seconds + clockOffset, {
      reason,
      ...row,
      length: event.length,
      tcpFlags: event.tcpFlags,
      pid: event.pid,
      comm: event.comm,
    });
  }

  function malformed(): void {
    context.notice("warning", "malformed", "lines of the program that could not be read");
  }

  return {
    message(message, at) {
      if (counters.read(message)) return;
      if (message.kind === "text") readText(message.text, at);
    },
    fact(fact) {
      names.fact(fact);
      evidence.fact(fact);
      if (fact.fact === "kernel-log" && fact.key === "error") {
        context.notice(
          "info",
          "degraded",
          `the kernel log (/dev/kmsg) cannot be read (${evidence.log.error ?? "unknown"}): what it says of lost packets is missing`,
        );
      }
      if (fact.fact === "network" && fact.key === "after") {
        evidence.networks().forEach(names.learnNetwork);
        for (const { level, message } of listGaps(evidence.networks()))
          context.notice(level, "degraded", message);
      }
      if (fact.fact === "network" && fact.key === "before") {
        hasSnapshot = true;
        counters.begin();
      }
    },
    interval(seconds) {
      wantNames();
      const now = total();
      const drops = now - reportedTotal;
      reportedTotal = now;
      const rows = listRows(flows(), names, reasons, true);
      counters.settle();
      // The last interval is a rest: what the kernel printed late would look like a burst.
      if (seconds >= lastSeconds / 2) {
        lastSeconds = seconds;
        spark.push(drops / seconds);
        if (spark.length > MAX_SPARK) spark.shift();
      }
      return { drops, bytes: sumBytes(rows), flows: rows.map(toRecord) };
    },
    live: (): LiveView => {
      const rows = listRows(flows(), names, reasons, false).filter((row) => showAll || !row.benign);
      const byCause = [...Map.groupBy(rows, causeOf)].map(([cause, group]) => ({
        cause,
        count: group.reduce((sum, row) => sum + row.count, 0),
      }));
      byCause.sort((a, b) => b.count - a.count);
      const top = byCause.slice(0, 3).map(({ cause, count }) => `${cause} ${formatCount(count)}`);
      const drops = total();
      return {
        headline: `${formatCount(drops)} dropped (${formatRate(spark.at(-1) ?? 0)}/s)${top.length > 0 ? ` · ${top.join(", ")}` : ""}`,
        spark,
        table: causeTable(groupCauses(rows), null, LIVE_ROWS),
        lost: 0,
      };
    },
    finish(end: EndInfo): ProbeResult {
      const rows = listRows(flows(), names, reasons, false);
      const totals = [...counters.totals].map(([reason, count]) => ({ reason, count }));
      const drops = total();
      const attributed = rows.reduce((sum, row) => sum + row.count, 0);
      const unattributed = Math.max(0, drops - attributed);
      if (attributed > drops)
        context.notice("error", "inconsistent", "flows add up to more than the totals", attributed - drops);
      const byReason: Record<string, number> = {};
      if (context.session.tables["reasonField"] === false)
        for (const row of rows) byReason[causeOf(row)] = (byReason[causeOf(row)] ?? 0) + row.count;
      else for (const { reason, count } of totals) byReason[reasons.name(reason) ?? "unknown"] = count;
      const benign = rows.reduce((sum, row) => sum + (row.benign ? row.count : 0), 0);
      // Rules see every namespace (the other end of a veth, a listener elsewhere); with --netns only that one is reported.
      const only = context.session.tables["only"] ?? null;
      const isAsked = (inode: number) => only === null || inode === only;
      // A line of the kernel log that names no namespace may be of any.
      const isTold = ({ id, netns }: Finding) =>
        netns === null ? only === null || id !== "kernel-log" : isAsked(netns.inode);
      const networks = evidence.networks().filter((network) => isAsked(network.netns.inode));
      const findings =
        networks.length === 0
          ? []
          : diagnose(
              buildFacts({
                seconds: end.seconds,
                options: context.options,
                flows: flows(),
                names,
                reasons,
                book,
                evidence,
              }),
            ).filter(isTold);
      const summary: JsonObject = {
        drops: { total: drops, benign, bytes: sumBytes(rows), byReason },
        unattributed,
        flows: rows.map(toRecord),
        counters: counterRecords(networks),
        interfaces: interfaceRecords(networks),
      };
      const report = buildReport({
        session: context.session,
        rows,
        drops,
        benign,
        unattributed,
        end,
        spark,
        showAll,
        names,
        reasons,
        byReason,
        findings,
        networks,
      });
      return {
        summary,
        findings,
        report,
        profiles: drops === 0 ? [] : buildProfiles(weighGroups(), book),
      };
    },
  };

  /** Flows by what shares its stacks, and what the flow table had no room for, so that weights add up to the totals. */
  function weighGroups(): WeightedGroup[] {
    const groups = new Map<string, WeightedGroup>();
    const rest = new Map(counters.totals);
    for (const { key, count, bytes } of flows()) {
      const id = `${key.reason}/${key.site}/${key.netns}/${key.ifindex}`;
      const before = groups.get(id);
      const named = nameFlow(key, names, reasons);
      groups.set(id, {
        reason: key.reason,
        site: key.site,
        ifindex: key.ifindex,
        netns: key.netns,
        reasonName: named.reason ?? "drops",
        place: placeLabel(named),
        siteName: named.location ?? "unknown call site",
        count: (before?.count ?? 0) + count,
        bytes: (before?.bytes ?? 0) + bytes,
      });
      rest.set(key.reason, (rest.get(key.reason) ?? 0) - count);
    }
    for (const [reason, count] of rest) {
      if (count <= 0) continue;
      groups.set(`${reason}/rest`, {
        reason,
        site: 0,
        ifindex: 0,
        netns: 0,
        reasonName: reasons.name(reason) ?? "drops",
        place: "[flow table full]",
        siteName: "unknown call site",
        count,
        bytes: 0,
      });
    }
    return [...groups.values()].sort((a, b) => b.count - a.count);
  }
}

/** Reason names of the kernel the session ran on. */
function readReasonTable(tables: JsonObject): ReasonTable {
  const names = (tables["reasons"] ?? {}) as Readonly<Record<string, Json>>;
  return createReasonTable(names, tables["reasonField"] !== false);
}

/** The namespaces that were there at the start: their names are known from the first event on. */
function knownNetns(tables: JsonObject): Fact[] {
  const known = (tables["netns"] ?? {}) as Readonly<Record<string, Json>>;
  return Object.entries(known).map(([key, value]) => ({ fact: "netns", key, value }));
}

/** Namespace and device in one word: `web eth0`. */
function placeLabel(row: Pick<FlowRow, "netns" | "dev">): string {
  const netns = row.netns === null ? "unknown namespace" : (row.netns.name ?? `netns ${row.netns.inode}`);
  return `${netns} ${row.dev ?? "(no device yet)"}`;
}

function sumBytes(rows: readonly FlowRow[]): number {
  return rows.reduce((sum, row) => sum + row.bytes, 0);
}

function toRecord(row: FlowRow): JsonObject {
  return {
    ...row,
    icmp: row.icmp === null ? null : { ...row.icmp },
    netns: row.netns === null ? null : { ...row.netns },
  };
}
