import { endianness, release } from "node:os";
import { mapLimited } from "../../limit.ts";
import type { NetTarget } from "../types.ts";
import { collectConfiguration } from "./configuration.ts";
import { collectCounters } from "./counters.ts";
import { isModuleUnloaded } from "./modules.ts";
import type { RawNet, RawSection } from "./raw.ts";

export type NetOptions = {
  /** Also rules, routes, links, sockets and settings; default true. */
  readonly configuration?: boolean;
  /** Most seconds for one namespace's configuration, and for a group of namespaces' counters; default 2. */
  readonly timeout?: number;
  /** Seconds after which no further namespace's configuration is begun; default 5. */
  readonly deadline?: number;
  /** Namespaces whose configuration is read at the same time; default 4. */
  readonly concurrency?: number;
};

/**
 * Reads the namespaces, the counters of all first, then their configurations in the given order: the ones that matter
 * most come first. Only reads. Never rejects: what failed or was left out is in `skipped` or in a section's status.
 */
export async function collectNet(targets: readonly NetTarget[], options: NetOptions = {}): Promise<RawNet[]> {
  const { configuration = true, timeout = 2, deadline = 5, concurrency = 4 } = options;
  const start = performance.now();
  const counters = await collectCounters(
    targets.map((target) => target.path),
    { timeout, deadline },
  );
  const nftLoaded = configuration && !(await isModuleUnloaded("nf_tables", release()));
  return mapLimited(targets, concurrency, async (target, index): Promise<RawNet> => {
    const began = performance.now();
    const counted = counters[index];
    const failure = counted?.failure ?? null;
    const late = began - start > deadline * 1000;
    const sections = new Map<string, RawSection>(counted?.sections);
    const skipped = [];
    if (failure !== null) skipped.push({ what: "/proc/net", why: failure });
    if (configuration && failure === null && late) {
      skipped.push({ what: "configuration", why: `the time for all namespaces (${deadline} s) was over` });
    } else if (configuration && failure === null) {
      const more = await collectConfiguration(target.path, { timeout, nftLoaded });
      for (const [name, section] of more) sections.set(name, section);
    }
    return {
      version: 1,
      target,
      takenAt: counted?.takenAt ?? Date.now() / 1000,
      seconds: (performance.now() - began) / 1000,
      littleEndian: endianness() === "LE",
      sections: Object.fromEntries(sections),
      skipped,
    };
  });
}
