/** A conclusion in the shape of the public contract's `finding` record. */
export interface OomFinding {
  id: string;
  severity: "problem" | "suspicious" | "info";
  /** One sentence. */
  summary: string;
  /** Kills it is about. */
  count: number;
  netns: null;
  /** What was seen, with numbers. */
  evidence: string[];
  /** Commands to paste that show more. */
  check: string[];
  /** Commands to paste that mend it. */
  fix: string[];
}
