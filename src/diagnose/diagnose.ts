import type { Facts } from "./facts.ts";
import type { Finding, Severity } from "./finding.ts";
import { findLogged } from "./kernel-log-finding.ts";
import { createLedger, type Rule } from "./rule.ts";
import { RULES } from "./rules/index.ts";

const HARM: Readonly<Record<Severity, number>> = { problem: 0, suspicious: 1, info: 2 };

/** Runs the rules in their order (specific ones first: they claim what they explain) and sorts what they found by harm, then by count. */
export function diagnose(facts: Facts, rules: readonly Rule[] = RULES): Finding[] {
  const ledger = createLedger();
  const found = rules.flatMap((rule) => rule.examine(facts, ledger));
  return [...found, ...findLogged(facts, found)].sort(
    (a, b) => HARM[a.severity] - HARM[b.severity] || b.count - a.count,
  );
}
