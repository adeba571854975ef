import { plural } from "../../../../text/format.ts";
import { countDrops, rankDrops, severityOf, tellCounters, tellShares } from "../../../amounts.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding, Severity } from "../../../finding.ts";
import type { Ledger, Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { fillTemplates } from "../../../templates.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows } from "./drops.ts";
import { makeFinding } from "./finding.ts";

/** A cause that the reason (or the place of the free) tells by itself: one finding a device. */
export interface SimpleCause {
  readonly id: string;
  readonly reasons: readonly string[];
  /** Where packets without a reason are freed for this cause, and for nothing else. */
  readonly sites?: RegExp;
  /** What else was freed there without a reason has one of its own since the kernel has this one: `sites` count only then. */
  readonly since?: string;
  /** With these, the reasons count only there. */
  readonly only?: RegExp;
  /** Counters that such drops move. */
  readonly counters: readonly string[];
  /** From so many on it has `severity`, below it is `below`. */
  readonly least: number;
  readonly severity: Severity;
  readonly below?: Severity;
  /** Follows "20 packets on eth0 were dropped: ". */
  readonly because: string;
  readonly explains: string;
  /** With `{ns}`, `{dev}`, `{source}`, `{destination}`. */
  readonly check: readonly string[];
  readonly fix: readonly string[];
}

export function makeRule(id: string, causes: readonly SimpleCause[]): Rule {
  return {
    id,
    examine: (facts, ledger) => causes.flatMap((cause) => examineCause(facts, ledger, cause)),
  };
}

function examineCause(facts: Facts, ledger: Ledger, cause: SimpleCause): Finding[] {
  const drops = openDrops(facts, ledger).filter((drop) => isOf(facts, cause, drop));
  ledger.claim(drops);
  return groupByDevice(drops).map(({ netns, dev, drops: group }) => {
    const network = findNetwork(facts, netns);
    if (netns !== null) for (const name of cause.counters) ledger.account(netns, name);
    const count = countDrops(group);
    const sources = rankDrops(group, ({ source }) => source);
    const values = {
      place: findPlace(facts, netns),
      dev,
      port: null,
      source: sources[0]?.name ?? null,
      destination: rankDrops(group, ({ destination }) => destination)[0]?.name ?? null,
    };
    return makeFinding(facts, {
      id: cause.id,
      severity:
        severityOf(count, facts.seconds, cause.least, cause.below ?? "info") === "problem"
          ? cause.severity
          : (cause.below ?? "info"),
      summary: `${plural(count, "packet")}${dev === null ? "" : ` on ${dev}`} ${count === 1 ? "was" : "were"} dropped: ${cause.because}`,
      count,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}${sources.length === 0 ? "" : `, from ${tellShares(sources, 2) ?? ""}`}`,
        cause.explains,
        tellCounters(network, cause.counters),
        tellFlows(group),
      ],
      check: fillTemplates(cause.check, values),
      fix: fillTemplates(cause.fix, values),
    });
  });
}

function isOf(facts: Facts, cause: SimpleCause, drop: DropFact): boolean {
  if (isVague(drop)) {
    const isKnown = cause.since === undefined || facts.hasReason(cause.since);
    return isKnown && cause.sites !== undefined && isFreedAt(drop, cause.sites);
  }
  if (drop.reason === null || !cause.reasons.includes(drop.reason)) return false;
  return cause.only === undefined || isFreedAt(drop, cause.only);
}
