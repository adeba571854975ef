import type { Finding } from "../../finding.ts";
import { compareSeverity } from "../../order.ts";
import type { Rule } from "../../rule.ts";
import { RULES } from "../index.ts";
import type { RetransFacts, RetransRule } from "./facts.ts";
import { fullQueueHere, noAnswer, unansweredSynAck } from "./handshake.ts";
import { localDrops } from "./local-drops.ts";
import { noRoute, pathLoss, spurious } from "./path.ts";
import { examineResets } from "./resets.ts";
import { examineWindows } from "./windows.ts";

/**
 * Why segments were sent again: what this host did itself first, what is left is the network's. Each connection is
 * explained once. `dropRules`: what names the rule, queue or limit behind a local drop.
 */
export function diagnoseRetransmits(facts: RetransFacts, dropRules: readonly Rule[] = RULES): Finding[] {
  const rules: readonly RetransRule[] = [
    localDrops(dropRules),
    fullQueueHere,
    noAnswer,
    unansweredSynAck,
    noRoute,
    spurious,
    pathLoss,
  ];
  const findings = [...examineResets(facts), ...examineWindows(facts.facts)];
  let open = facts.flows;
  for (const rule of rules) {
    const explained = rule.examine(facts, open);
    findings.push(...explained.findings);
    const done = new Set(explained.flows);
    open = open.filter((flow) => !done.has(flow));
  }
  return findings.sort(compareSeverity);
}
