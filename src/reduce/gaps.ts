import type { NetDelta } from "../evidence/net/types.ts";

/** As the sections of a snapshot say it (src/evidence/net/section-reader.ts), or the launcher of a tool. */
const NOT_INSTALLED = /(?:^|\bis )not installed$/;

/** A gap that another run, or --netns, may fill: worth a line also for whoever did not ask for notes. Others (gone, no such tool) stay. */
const OUT_OF_TIME =
  /no answer|no time left|took longer than|the time for all namespaces|this host has more than/;

interface Gap {
  readonly level: "info" | "warning";
  readonly message: string;
}

/** What a snapshot calls the parts of a namespace that are read together. */
const WHOLES: Readonly<Record<string, string>> = {
  "/proc/net": "counters, rules and settings",
  configuration: "rules and settings",
  sh: "rules and settings",
};

/** Namespaces named in one notice. */
const MAX_NAMED = 3;

/**
 * What the findings had to do without, in words: a namespace that did not answer, a tool that is not installed. One
 * sentence for each reason, however many namespaces share it.
 */
export function listGaps(networks: readonly NetDelta[]): Gap[] {
  const gaps = networks.flatMap(({ netns, missing }) =>
    missing
      // What got stuck is told; what would have been asked after it is the same gap.
      .filter(({ why }) => !why.startsWith("not asked, because"))
      // A tool that is not there misses for all that it would have been asked.
      .map(({ what, why }) => ({
        netns,
        why,
        what: NOT_INSTALLED.test(why) ? (what.split(" ")[0] ?? what) : what,
      })),
  );
  return [...Map.groupBy(gaps, ({ what, why }) => JSON.stringify([what, why])).values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    if (NOT_INSTALLED.test(first.why))
      return {
        level: "info" as const,
        message: `${first.what} is not installed: its evidence is missing; trace doctor names the package`,
      };
    const names = [...new Set(group.map(({ netns }) => netns.name ?? String(netns.inode)))];
    const shown = names.slice(0, MAX_NAMED).join(", ");
    const rest = names.length - MAX_NAMED;
    const where = `${names.length === 1 ? "namespace" : "namespaces"} ${shown}${rest > 0 ? ` and ${rest} more` : ""}`;
    const whole = WHOLES[first.what];
    // Of a tool that was cut off what it had said by then is used.
    const message =
      whole === undefined
        ? `${first.what} of ${where} could not be read in full: ${first.why}`
        : `${whole} of ${where} could not be read: ${first.why}`;
    return { level: OUT_OF_TIME.test(first.why) ? ("warning" as const) : ("info" as const), message };
  });
}
