import type { NetDelta } from "../evidence/net/types.ts";

/** Namespaces named in one notice. */
const MAX_NAMED = 3;

/**
 * What the findings had to do without, in words: a namespace that did not answer, a tool that is not installed. One
 * sentence for each reason, however many namespaces share it.
 */
export function listGaps(networks: readonly NetDelta[]): string[] {
  const gaps = networks.flatMap(({ netns, missing }) =>
    missing
      // What got stuck is told; what would have been asked after it is the same gap.
      .filter(({ why }) => !why.startsWith("not asked, because"))
      .map((item) => ({ netns, ...item })),
  );
  return [...Map.groupBy(gaps, ({ what, why }) => JSON.stringify([what, why])).values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    if (first.why === "not installed")
      return `${first.what} is not installed: its evidence is missing; trace doctor names the package`;
    const names = [...new Set(group.map(({ netns }) => netns.name ?? String(netns.inode)))];
    const shown = names.slice(0, MAX_NAMED).join(", ");
    const rest = names.length - MAX_NAMED;
    const where = `${names.length === 1 ? "namespace" : "namespaces"} ${shown}${rest > 0 ? ` and ${rest} more` : ""}`;
    const what =
      first.what === "/proc/net"
        ? "counters, rules and settings"
        : first.what === "configuration"
          ? "rules and settings"
          : first.what;
    return `${what} of ${where} could not be read: ${first.why}`;
  });
}
