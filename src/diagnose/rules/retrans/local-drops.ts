import { formatCount, plural } from "../../../text/format.ts";
import { countDrops } from "../../amounts.ts";
import type { DropFact, Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { createLedger, type Ledger, type Rule } from "../../rule.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";
import { inNetns } from "../../commands.ts";
import { NOTHING, type RetransFlow, type RetransRule } from "./facts.ts";
import { listFlows, tellSentAgain, tellTargets } from "./words.ts";

/** Fewer drops than this part of the packets sent again do not explain them: there is another cause, too. */
const EXPLAINING_SHARE = 0.2;

/** Connections, most segments first, for which it is worked out which finding is theirs. */
const MAX_ASSIGNED = 64;

/**
 * Segments that this very host dropped. The rules of drops say by what; what none of them knows is told with its reason
 * and place. Each finding says that the network is innocent, and which connections paid for it.
 */
export function localDrops(rules: readonly Rule[]): RetransRule {
  return {
    id: "retrans-local-drop",
    examine({ facts }, open) {
      const drops = new Set(open.flatMap((flow) => harmful(flow.drops)));
      if (drops.size === 0) return NOTHING;
      const causes = explainDrops({ ...facts, drops: [...drops] }, rules);
      // What a rule only mentions (duplicates, a connection that closes) made nobody send again.
      for (const { found, claimed } of causes)
        if (found.every(isMinor)) for (const drop of claimed) drops.delete(drop);
      const hit = open.filter((flow) => {
        const count = countDrops(flow.drops.filter((drop) => drops.has(drop)));
        return count > 0 && count >= EXPLAINING_SHARE * flow.packets;
      });
      const findings: Finding[] = [];
      for (const { rule, found, claimed } of causes) {
        const flows = hit.filter((flow) => flow.drops.some((drop) => drops.has(drop) && claimed.has(drop)));
        if (flows.length > 0) {
          const assigned = assign(facts, rule, flows);
          for (const finding of found.filter((item) => !isMinor(item))) {
            const own = assigned.get(identify(finding)) ?? new Set(flows);
            findings.push({ ...finding, evidence: [...finding.evidence, ...tellPrice([...own])] });
          }
        }
        for (const drop of claimed) drops.delete(drop);
      }
      const paid = new Set(hit.flatMap((flow) => flow.drops));
      const unknown = [...drops].filter((drop) => paid.has(drop));
      const rest = Map.groupBy(unknown, (drop) =>
        JSON.stringify([drop.reason, drop.location, drop.hook, drop.netns, drop.dev]),
      );
      for (const group of rest.values())
        findings.push(
          tellUnknown(
            facts,
            group,
            hit.filter((flow) => flow.drops.some((drop) => group.includes(drop))),
          ),
        );
      return { findings, flows: hit };
    },
  };
}

function isMinor(finding: Finding): boolean {
  return finding.severity === "info";
}

function harmful(drops: readonly DropFact[]): DropFact[] {
  return drops.filter((drop) => !drop.benign);
}

/** Asks the rules of drops one by one, and keeps only what they found about these drops: counters of others are not ours to tell. */
function explainDrops(
  facts: Facts,
  rules: readonly Rule[],
): { rule: Rule; found: readonly Finding[]; claimed: ReadonlySet<DropFact> }[] {
  const ledger = createLedger();
  return rules.flatMap((rule) => {
    const claimed = new Set<DropFact>();
    const spy: Ledger = {
      ...ledger,
      claim(drops) {
        for (const drop of drops) if (!ledger.isClaimed(drop)) claimed.add(drop);
        ledger.claim(drops);
      },
    };
    const found = rule.examine(facts, spy);
    return claimed.size === 0 ? [] : [{ rule, found, claimed }];
  });
}

/** What makes two findings of one rule the same cause. */
function identify({ id, netns, rule }: Finding): string {
  return JSON.stringify([
    id,
    netns?.inode,
    rule?.tool,
    rule?.table,
    rule?.chain,
    rule?.number,
    rule?.handle,
    rule?.text,
  ]);
}

/** One rule can find several causes: asked again for each connection alone, it says which of them hit it. */
function assign(facts: Facts, rule: Rule, flows: readonly RetransFlow[]): Map<string, Set<RetransFlow>> {
  const assigned = new Map<string, Set<RetransFlow>>();
  const worst = [...flows].sort((a, b) => b.segments - a.segments).slice(0, MAX_ASSIGNED);
  for (const flow of worst) {
    for (const finding of rule.examine({ ...facts, drops: harmful(flow.drops) }, createLedger())) {
      const key = identify(finding);
      assigned.set(key, (assigned.get(key) ?? new Set()).add(flow));
    }
  }
  return assigned;
}

/** Drops of what came back, and none of what was sent: then the data arrived, and was sent again for nothing. */
function isOnlyAnswers(flows: readonly RetransFlow[]): boolean {
  const senders = new Set(flows.map((flow) => `${flow.source} ${flow.sourcePort}`));
  const drops = flows.flatMap((flow) => harmful(flow.drops));
  return drops.length > 0 && drops.every((drop) => !senders.has(`${drop.source} ${drop.sourcePort}`));
}

function tellPrice(flows: readonly RetransFlow[]): string[] {
  const isSent = flows.some((flow) => flow.segments > 0);
  return [
    ...(isOnlyAnswers(flows) ? ["only answers (acknowledgements) were dropped, not what was sent"] : []),
    isSent
      ? `this host did it, not the network: ${tellSentAgain(flows)} meanwhile`
      : `${plural(flows.length, "connection")} to ${tellTargets(flows)} tried to send again and could not`,
    listFlows(flows),
  ];
}

function tellUnknown(facts: Facts, drops: readonly DropFact[], flows: readonly RetransFlow[]): Finding {
  const [first] = drops;
  const netns = first?.netns ?? null;
  const place = findPlace(facts, netns);
  const words = first === undefined ? null : facts.describe(first);
  const where = [first?.hook, first?.location, first?.dev === null ? null : `on ${first?.dev}`]
    .filter((part) => part !== null && part !== undefined)
    .join(" ");
  return {
    id: "retrans-local-drop",
    severity: "problem",
    summary: `This host drops what TCP then has to send again: ${plural(countDrops(drops), "packet")} with ${first?.reason ?? "no reason given"} in ${tellNetns(facts, netns)}, ${where}`,
    count: countDrops(drops),
    netns: nameNetns(facts, netns),
    evidence: [
      ...(words === null ? [] : [words.meaning]),
      `${formatCount(countDrops(drops))} packets of these connections dropped here`,
      ...tellPrice(flows),
    ],
    check: [...(words?.check ?? []), inNetns(place, "ip -s -s link")].slice(0, 3),
    fix: words === null ? [] : [...words.fix],
  };
}
