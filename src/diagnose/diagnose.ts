import type { Facts } from "./facts.ts";
import type { Finding } from "./finding.ts";
import { findLogged } from "./kernel-log-finding.ts";
import { compareHarm } from "./order.ts";
import { createLedger, type Rule } from "./rule.ts";
import { RULES } from "./rules/index.ts";

/** Runs the rules in their order (specific ones first: they claim what they explain) and sorts what they found by harm. */
export function diagnose(facts: Facts, rules: readonly Rule[] = RULES): Finding[] {
  const ledger = createLedger();
  const found = rules.flatMap((rule) => rule.examine(facts, ledger));
  return [...found, ...findLogged(facts, found)].sort(compareHarm);
}
