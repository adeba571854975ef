import type { OomFinding } from "../finding.ts";
import type { OomGroupFacts } from "../facts.ts";

/** One judgement over the kills of one cause. Pure. */
export type OomRule = (facts: OomGroupFacts) => OomFinding | null;
