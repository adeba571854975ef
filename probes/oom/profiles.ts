import type { Profile, Sample } from "../../src/profile/model.ts";
import { memoryStacks } from "./log/memory-stacks.ts";
import type { OomReport } from "./record.ts";
import { scopeKey } from "./words.ts";

/** Collects what the profiles show, in bounded memory. */
export interface ProfileBook {
  add(report: OomReport): void;
  build(): Profile[];
}

/** Cgroups with a profile of their own: the ones with the latest kills. */
const MAX_SCOPES = 32;
const MAX_STACKS = 4096;

/** Where the memory was at the last kill of each cgroup (bytes), and the stacks of the allocations that led to kills. */
export function createProfileBook(): ProfileBook {
  const last = new Map<string, OomReport>();
  const stacks = new Map<string, { frames: readonly string[]; count: number }>();
  return {
    add(report) {
      const key = scopeKey(report);
      const known = last.get(key);
      // A kill without a report of its own tells less than the one before.
      if (known === undefined || report.tasks.length > 0 || known.tasks.length === 0) {
        last.delete(key);
        last.set(key, report);
      }
      const oldest = last.keys().next();
      if (last.size > MAX_SCOPES && oldest.done !== true) last.delete(oldest.value);
      if (report.stack === null) return;
      const frames = [key, ...report.stack];
      const stack = frames.join("\n");
      const entry = stacks.get(stack);
      if (entry !== undefined) entry.count += 1;
      else if (stacks.size < MAX_STACKS) stacks.set(stack, { frames, count: 1 });
    },
    build() {
      const profiles: Profile[] = [];
      for (const [key, report] of [...last].toReversed()) {
        const samples = memoryStacks(report).map(({ frames, bytes }): Sample => {
          const [root = key, ...rest] = frames;
          return {
            stack: [{ name: root, file: "out of memory" }, ...rest.map((name) => ({ name }))],
            weight: bytes,
          };
        });
        if (samples.length > 0)
          profiles.push({ name: `memory at the last kill: ${key}`, unit: "bytes", order: "none", samples });
      }
      const samples = [...stacks.values()].map(({ frames: [root = "", ...frames], count }): Sample => ({
        stack: [{ name: root, file: "out of memory" }, ...frames.map((name) => ({ name, file: "[kernel]" }))],
        weight: count,
      }));
      if (samples.length > 0)
        profiles.push({
          name: "allocations that led to kills (kills)",
          unit: "none",
          order: "none",
          samples,
        });
      return profiles;
    },
  };
}
