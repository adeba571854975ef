import type { Finding, Severity } from "../../../src/diagnose/finding.ts";
import type { ThreadRow } from "../threads.ts";
import { findFunctions } from "./functions.ts";
import { findJournals } from "./journals.ts";
import { findOthers } from "./others.ts";
import { findReclaim } from "./reclaim.ts";
import type { FindingInput } from "./shared.ts";
import { findSoftirqs } from "./softirqs.ts";

const ORDER: readonly Severity[] = ["problem", "suspicious", "info"];

/** What stands out, the worst first. The last rule takes what the others have not explained. */
export function findAll(input: FindingInput): Finding[] {
  const told = new Set<ThreadRow>();
  return [findSoftirqs, findReclaim, findFunctions, findJournals, findOthers]
    .flatMap((find) => find(input, told))
    .sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
}
