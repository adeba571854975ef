import { plural } from "../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellShares } from "../../amounts.ts";
import { tellRetransmissions } from "../../context.ts";
import type { DropDescription, DropFact, Facts } from "../../facts.ts";
import type { Finding, Severity } from "../../finding.ts";
import type { Rule } from "../../rule.ts";
import { isVague } from "../../select.ts";
import { nameNetns, tellNetns } from "../../where.ts";

/** Loss by the catalogue's word: this many are no accident any more. */
const MANY = 10;
/** Below this it is a line for the curious. */
const FEW = 3;
/** Further causes are in the table of the report; a list of dozens is read by nobody. */
const MAX_CAUSES = 12;
/** The end of the stack says most. */
const MAX_FUNCTIONS = 6;

/** What no other rule explained: by the catalogue's entry of its reason or call site, or as unknown, with how to look further. */
export const otherDrops: Rule = {
  id: "other-drop",
  examine(facts, ledger) {
    const open = facts.drops.filter((drop) => !drop.benign && !ledger.isClaimed(drop));
    ledger.claim(open);
    const groups = [
      ...Map.groupBy(open, (drop) => JSON.stringify([drop.netns, drop.reason, drop.location])).values(),
    ];
    groups.sort((a, b) => countDrops(b) - countDrops(a));
    return groups.slice(0, MAX_CAUSES).flatMap((drops) => tellCause(facts, drops));
  },
};

function tellCause(facts: Facts, drops: readonly DropFact[]): Finding[] {
  const [top] = drops;
  if (top === undefined) return [];
  const count = countDrops(drops);
  const described = facts.describe(top);
  const site = top.location === null ? "an unknown call site" : `${top.location}()`;
  const isKnown = described !== null && !(isVague(top) && described.reasons.includes("NOT_SPECIFIED"));
  const retransmissions = tellRetransmissions(facts, drops);
  return [
    {
      id: isKnown ? "other-drop" : "other-drop-unknown",
      severity: gradeCause(facts, described, isKnown, count),
      summary: isKnown
        ? `${plural(count, "packet")} dropped at ${site}: ${described.meaning}`
        : `${plural(count, "packet")} dropped at ${site} for a reason that ${isVague(top) ? "the kernel does not give" : "this version of trace does not know"}`,
      count,
      netns: nameNetns(facts, top.netns),
      evidence: [
        `${top.reason ?? "this kernel gives no reasons"} in ${tellNetns(facts, top.netns)}: ${tellFlows(drops)}`,
        ...(isVague(top) ? tellStack(top) : []),
        ...(isVague(top) && isKnown && described.reasons.length > 0
          ? [`newer kernels call it ${described.reasons.slice(0, 4).join(", ")}`]
          : []),
        ...(retransmissions === null ? [] : [retransmissions]),
      ],
      check: [...(described?.check ?? []), ...lookFurther(top, isKnown)],
      fix: isKnown ? described.fix : [],
    },
  ];
}

function gradeCause(
  facts: Facts,
  described: DropDescription | null,
  isKnown: boolean,
  count: number,
): Severity {
  if (count < FEW) return "info";
  if (!isKnown) return "suspicious";
  if (described?.class === "loss") return isMany(count, facts.seconds, MANY) ? "problem" : "suspicious";
  return isMany(count, facts.seconds, MANY) ? "suspicious" : "info";
}

function tellFlows(drops: readonly DropFact[]): string {
  const flows = rankDrops(drops, ({ proto, source, destination, destinationPort }) => {
    if (source === null && destination === null) return proto;
    const port = destinationPort === null ? "" : ` port ${destinationPort}`;
    return `${source ?? "?"} to ${destination ?? "?"}${port} (${proto ?? "?"})`;
  });
  const devices = tellShares(rankDrops(drops, ({ dev }) => dev));
  return `${tellShares(flows) ?? "packets of no known protocol"}${devices === null ? "" : `, on ${devices}`}`;
}

/** Functions of several stacks, each once: those up to the call site are one way to it. */
function tellStack({ functions, location }: DropFact): string[] {
  if (functions.length === 0) return ["no stack was sampled: a longer run shows the way it came"];
  const end = location === null ? -1 : functions.indexOf(location);
  const way = end === -1 ? functions : functions.slice(0, end + 1);
  return [
    `on the way: ${way.slice(-MAX_FUNCTIONS).join(" → ")}; the profile of the run has the whole stacks`,
  ];
}

function lookFurther({ reason, location }: DropFact, isKnown: boolean): string[] {
  const word = isKnown ? reason : (location ?? reason);
  return [
    ...(reason === null ? [] : [`trace drops --reason ${reason} --events --duration 10s`]),
    ...(word === null || !isKnown ? [] : [`trace explain ${word}`]),
  ];
}
