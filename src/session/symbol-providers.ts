import { readFile, readlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { packFrame } from "../profile/samples/user-frames.ts";
import type { Json } from "../probe/define.ts";
import { createResolver, type Resolver } from "../symbols/resolver.ts";
import type { Providers } from "./live.ts";

/** How long an answer waits for a process' maps to be read again (seconds); they are looked at once more at the end. */
const REREAD_PATIENCE = 0.1;

/**
 * `process` (`pid epoch`): who a process is, read while it lives. `frames` (see src/profile/samples/user-frames.ts): what stands at addresses
 * of a process.
 */
export function createSymbolProviders(): Providers {
  let resolver: Resolver | null = null;
  return {
    process: async (key) => describeProcess(Number(key.split(" ", 1)[0])),
    async frames(key): Promise<Json> {
      resolver ??= createResolver();
      const [pidText = "", , round = "", leafText = "-", callerText = "-"] = key.split(" ", 5);
      const head = key.split(" ", 5).join(" ").length + 1;
      const pid = Number(pidText);
      const [leafs, callers] = [parseList(leafText), parseList(callerText)];
      const comm = key.slice(head);
      const name = (): { frames: ReturnType<typeof packFrame>[]; unknown: boolean } => {
        const frames = resolver === null ? [] : resolveAll(resolver, pid, leafs, callers);
        return { frames: frames.map(packFrame), unknown: frames.some(({ kind }) => kind === "unknown") };
      };
      // In the last round a process of which nothing is known has ended before it could be read: it is not waited for again.
      if (resolver.generation(pid) === null && round === "0") {
        await resolver.notice(pid, { comm });
        return name().frames;
      }
      const seen = resolver.notice(pid, { comm, addresses: [...leafs, ...callers] });
      const first = name();
      if (!first.unknown) return first.frames;
      await Promise.race([seen, delay(REREAD_PATIENCE * 1000, null, { ref: false })]);
      return name().frames;
    },
  };
}

function resolveAll(resolver: Resolver, pid: number, leafs: readonly number[], callers: readonly number[]) {
  // The first address of a stack is taken as it is, all others as return addresses.
  const returns = resolver.resolveStack(pid, [leafs[0] ?? callers[0] ?? 0, ...callers]).slice(1);
  return [...leafs.map((address) => resolver.resolve(pid, address)), ...returns];
}

function parseList(text: string): number[] {
  return text === "-" ? [] : text.split(",").map((word) => Number.parseInt(word, 16));
}

/** PF_KTHREAD of include/linux/sched.h. */
const KERNEL_THREAD = 0x200000;

async function describeProcess(pid: number): Promise<Json> {
  const folder = `/proc/${pid}`;
  const [comm, exe, stat] = await Promise.all([
    readFile(`${folder}/comm`, "utf8").catch(() => null),
    readlink(`${folder}/exe`).catch(() => null),
    readFile(`${folder}/stat`, "latin1").catch(() => null),
  ]);
  if (comm === null || stat === null) return null;
  const flags = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[6]);
  return {
    comm: comm.replace(/\n$/, ""),
    exe:
      exe === null
        ? null
        : (exe
            .replace(/ \(deleted\)$/, "")
            .split("/")
            .at(-1) ?? null),
    kernelThread: (flags & KERNEL_THREAD) !== 0,
  };
}
