import type { Facts } from "../../../facts.ts";
import type { Finding, Severity } from "../../../finding.ts";
import { nameNetns } from "../../../where.ts";

export interface Draft {
  readonly id: string;
  readonly severity: Severity;
  readonly summary: string;
  readonly count: number;
  /** Inode. */
  readonly netns: number | null;
  /** Lines that do not apply are null. */
  readonly evidence: readonly (string | null)[];
  readonly check: readonly (string | null)[];
  readonly fix: readonly (string | null)[];
}

export function makeFinding(facts: Facts, draft: Draft): Finding {
  const known = (lines: readonly (string | null)[]) => [...new Set(lines.filter((line) => line !== null))];
  return {
    ...draft,
    netns: nameNetns(facts, draft.netns),
    evidence: known(draft.evidence),
    check: known(draft.check),
    fix: known(draft.fix),
  };
}
