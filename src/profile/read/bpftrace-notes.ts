import { countMissing, type ReadReport } from "./report.ts";

/** What bpftrace says on stdout or stderr, in one file after `2>&1`, about what its maps lack. */
const NOTES: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  // 0.11 "Error looking up stack id 5 (pid 3): -17", later "ERROR: failed to look up stack id 5 (pid 3): -17".
  {
    pattern: /look(?:ing)? up stack id/,
    what: "stacks that bpftrace failed to look up (their entries are empty)",
  },
  { pattern: /^Lost (\d+) events/, what: "events that bpftrace lost" },
  {
    pattern: /Map full; can't update element/,
    what: "warnings of a full map (set BPFTRACE_MAP_KEYS_MAX higher)",
  },
];

/** Counts what a line that belongs to no map tells about lost data; false if it tells nothing of the kind. */
export function countNote(line: string, report: ReadReport): boolean {
  for (const { pattern, what } of NOTES) {
    const match = pattern.exec(line);
    if (match === null) continue;
    countMissing(report, what, Number(match[1] ?? 1));
    return true;
  }
  return false;
}
