import { netnsPrefix } from "../../../commands.ts";
import type { Facts } from "../../../facts.ts";
import type { Finding, Severity } from "../../../finding.ts";
import { findPlace, nameNetns } from "../../../where.ts";

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

/** Commands for a namespace that cannot be entered (it is gone, or nobody knows the way) are advice: pasted they would ask the host. */
export function makeFinding(facts: Facts, draft: Draft): Finding {
  const known = (lines: readonly (string | null)[]) => [...new Set(lines.filter((line) => line !== null))];
  const place = findPlace(facts, draft.netns);
  const isReachable = draft.netns === null || place?.kind === "host" || netnsPrefix(place) !== "";
  const commands = (lines: readonly (string | null)[]) =>
    known(lines).map((line) =>
      isReachable || line.startsWith("#") ? line : `# inside namespace ${draft.netns}: ${line}`,
    );
  return {
    ...draft,
    netns: nameNetns(facts, draft.netns),
    evidence: known(draft.evidence),
    check: commands(draft.check),
    fix: commands(draft.fix),
  };
}
