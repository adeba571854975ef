import { netnsPrefix } from "./commands.ts";
import { findNetwork, type Facts } from "./facts.ts";
import type { Finding } from "./finding.ts";
import { findLogged } from "./kernel-log-finding.ts";
import { compareHarm } from "./order.ts";
import { createLedger, type Rule } from "./rule.ts";
import { RULES } from "./rules/index.ts";
import { findPlace } from "./where.ts";

/** Runs the rules in their order (specific ones first: they claim what they explain) and sorts what they found by harm. */
export function diagnose(facts: Facts, rules: readonly Rule[] = RULES): Finding[] {
  const ledger = createLedger();
  const found = rules.flatMap((rule) => rule.examine(facts, ledger));
  return [...found, ...findLogged(facts, found)]
    .map((finding) => adviseGone(facts, finding))
    .sort(compareHarm);
}

/** Commands for a namespace that is gone would fail, or ask another that has its name by then. */
function adviseGone(facts: Facts, finding: Finding): Finding {
  const inode = finding.netns?.inode ?? null;
  const prefix = netnsPrefix(findPlace(facts, inode));
  if (prefix === "" || findNetwork(facts, inode)?.isGone !== true) return finding;
  const advise = (lines: readonly string[]) =>
    lines.map((line) =>
      line.startsWith(prefix) ? `# in the namespace, had it not gone: ${line.slice(prefix.length)}` : line,
    );
  return { ...finding, check: advise(finding.check), fix: advise(finding.fix) };
}
