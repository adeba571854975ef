import { formatCount } from "../text/format.ts";
import type { Facts } from "./facts.ts";

/** Lines that do not say which namespace they are of, and those of this one (`table full in netns 4026532414`). */
function isOf(line: string, netns: number | null): boolean {
  const inode = /\bin netns (\d+)/.exec(line)?.[1];
  return inode === undefined || netns === null || Number(inode) === netns;
}

/**
 * What the kernel log says of it, as evidence: `kernel log: nf_conntrack: table full, dropping packet (3 lines)`; where it is silent during
 * the run, what it said before, as the kernel says some things once only. Null: nothing. `netns`: lines of other namespaces are left out.
 */
export function tellLog(facts: Facts, pattern: RegExp, netns: number | null = null): string | null {
  const find = (lines: readonly string[]) => lines.filter((line) => pattern.test(line) && isOf(line, netns));
  const now = find(facts.kernelLog);
  const count = (lines: readonly string[]) =>
    lines.length > 1 ? ` (${formatCount(lines.length)} lines)` : "";
  if (now.length > 0) return `kernel log: ${now[0]}${count(now)}`;
  const before = find(facts.earlierLog ?? []);
  return before.length === 0 ? null : `kernel log, before the run: ${before.at(-1)}${count(before)}`;
}
