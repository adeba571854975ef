import { endianness, release } from "node:os";
import type { NetTarget } from "../types.ts";
import { collectConfigurations } from "./configuration.ts";
import { collectCounters } from "./counters.ts";
import { isModuleUnloaded } from "./modules.ts";
import type { RawNet, RawSection } from "./raw.ts";

export type NetOptions = {
  /** Also rules, routes, links, sockets and settings; default true. */
  readonly configuration?: boolean;
  /** Of these only what counts (rules, listeners, queues, links): for a start that is compared with an end; default false. */
  readonly brief?: boolean;
  /** Most seconds for one namespace's configuration, and for a group of namespaces' counters; default 4: 5,000 rules of nft take 1.5 s on a busy host. */
  readonly timeout?: number;
  /** Seconds after which no further namespace's configuration is begun; default 10. */
  readonly deadline?: number;
  /** Namespaces whose configuration is read at the same time; default 4. */
  readonly concurrency?: number;
};

/** What stands for a namespace that is not even tried. */
export function leaveOut(target: NetTarget, why: string): RawNet {
  return {
    version: 1,
    target,
    takenAt: Date.now() / 1000,
    seconds: 0,
    littleEndian: endianness() === "LE",
    sections: {},
    skipped: [{ what: "/proc/net", why }],
  };
}

/**
 * Reads the namespaces, the counters of all first, then their configurations in the given order: the ones that matter
 * most come first. Only reads. Never rejects: what failed or was left out is in `skipped` or in a section's status.
 */
export async function collectNet(targets: readonly NetTarget[], options: NetOptions = {}): Promise<RawNet[]> {
  const { configuration = true, brief = false, timeout = 4, deadline = 10, concurrency = 4 } = options;
  const start = performance.now();
  const counters = await collectCounters(
    targets.map((target) => target.path),
    { timeout, deadline },
  );
  const nftLoaded = configuration && !(await isModuleUnloaded("nf_tables", release()));
  const began = performance.now();
  const isRead = (index: number): boolean => (counters[index]?.failure ?? null) === null;
  const wanted = configuration ? targets.filter((_, index) => isRead(index)) : [];
  const configurations = await collectConfigurations(
    wanted.map(({ path }) => path),
    { timeout, until: start + deadline * 1000, concurrency, nftLoaded, brief },
  );
  const found = new Map(wanted.map((target, index) => [target, configurations[index] ?? null]));
  const seconds = (performance.now() - began) / 1000;
  return targets.map((target, index): RawNet => {
    const counted = counters[index];
    const failure = counted?.failure ?? null;
    const more = found.get(target);
    const sections = new Map<string, RawSection>([...(counted?.sections ?? []), ...(more ?? [])]);
    const skipped = [];
    if (failure !== null) skipped.push({ what: "/proc/net", why: failure });
    if (more === null)
      skipped.push({ what: "configuration", why: `the time for all namespaces (${deadline} s) was over` });
    return {
      version: 1,
      target,
      takenAt: counted?.takenAt ?? Date.now() / 1000,
      seconds,
      littleEndian: endianness() === "LE",
      sections: Object.fromEntries(sections),
      skipped,
    };
  });
}
