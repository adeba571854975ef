import { plural } from "../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellCounters, tellShares } from "../../amounts.ts";
import type { Facts } from "../../facts.ts";
import type { Finding, Severity } from "../../finding.ts";
import type { Rule } from "../../rule.ts";
import { selectDrops, type DropGroup } from "../../select.ts";
import { fillTemplates } from "../../templates.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";
import { isAftermath } from "./aftermath.ts";
import { CAUSES, type SegmentCause } from "./segment-causes.ts";

/** TCP segments (and what socket filters see) that the connection may not accept: one finding a cause and namespace. */
export const segments: Rule = {
  id: "tcp-segment",
  examine: (facts, ledger) =>
    CAUSES.flatMap((cause) =>
      selectDrops(facts, ledger, cause).flatMap((group) => {
        ledger.claim(group.drops);
        if (group.netns !== null) for (const name of cause.counters) ledger.account(group.netns, name);
        return tellCause(facts, cause, group);
      }),
    ),
};

function tellCause(facts: Facts, cause: SegmentCause, { netns, network, drops }: DropGroup): Finding[] {
  const count = countDrops(drops);
  const severity = gradeCause(facts, cause, count);
  if (severity === null || (cause.isSymptom === true && isAftermath(facts, drops))) return [];
  const place = findPlace(facts, netns);
  const ports = tellShares(rankDrops(drops, ({ destinationPort }) => destinationPort)) ?? "unknown";
  const sources = tellShares(rankDrops(drops, ({ source }) => source)) ?? "unknown senders";
  const counters = tellCounters(network, cause.counters);
  const reasons = tellShares(rankDrops(drops, ({ reason }) => reason)) ?? "no reason given";
  const [top] = drops;
  const described = top === undefined ? null : facts.describe(top);
  return [
    {
      id: cause.id,
      severity,
      summary: `${plural(count, drops.every(({ proto }) => proto === "tcp") ? "segment" : "packet")} from ${sources} to port ${ports} refused: ${cause.because}`,
      count,
      netns: nameNetns(facts, netns),
      evidence: [
        `${reasons} at ${tellShares(rankDrops(drops, ({ location }) => location)) ?? "an unknown place"} in ${tellNetns(facts, netns)}`,
        ...(counters === null ? [] : [counters]),
        cause.explains,
      ],
      check: [
        ...new Set([
          ...fillTemplates(cause.check, { place, dev: null, port: null, source: null, destination: null }),
          ...(described?.check.slice(0, 1) ?? []),
        ]),
      ],
      fix: cause.fix,
    },
  ];
}

function gradeCause(facts: Facts, { least, severity }: SegmentCause, count: number): Severity | null {
  if (isMany(count, facts.seconds, least)) return severity;
  // Too few to act on. Where many would be a problem, a few are worth a line.
  return severity === "problem" ? "suspicious" : null;
}
