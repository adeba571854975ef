import { setTimeout } from "node:timers/promises";
import { findRegion, frameInRegion } from "./address-space.ts";
import { unknownFrame, type UserFrame } from "./frame.ts";
import { DEFAULT_LIMITS, type SymbolLimits } from "./limits.ts";
import { ModuleCache } from "./module-cache.ts";
import { Siblings } from "./siblings.ts";
import { Slots, waitAtMost } from "./slots.ts";
import { TracedProcess, type Shared } from "./traced-process.ts";

export interface ResolverOptions {
  /** Where procfs is. Default /proc. */
  readonly procRoot?: string;
  readonly limits?: Partial<SymbolLimits>;
  /** A clock in seconds. Default: the monotonic one. */
  readonly now?: () => number;
}

/** What came with a sample, to notice sooner that a process has changed. */
export interface Sighting {
  /** Its name: a new one makes sure that an exec is not missed. */
  readonly comm?: string;
  /** Its stack: an address that is in no known mapping has the maps read again. */
  readonly addresses?: readonly number[];
}

export interface ResolverCounts {
  /** Processes remembered, and those of them whose maps could not be read in time (they had ended, most likely). */
  readonly processes: number;
  readonly unread: number;
  /** ELF files seen; those with symbols read; memory of these symbols in bytes; those left out for want of memory. */
  readonly modules: number;
  readonly read: number;
  readonly bytes: number;
  readonly skipped: number;
  /** Processes forgotten to make room, and sightings not followed because too many waited. */
  readonly forgotten: number;
  readonly turnedAway: number;
}

/** Names the addresses of user stacks. */
export interface Resolver {
  /**
   * To be called for every sample as it comes in, while the process lives: at first sight its maps are read and its files
   * opened; later it does nothing, unless the sighting shows a change. Never rejects, and takes no longer than
   * `noticeSeconds`. Nobody needs to wait for it before the window ends.
   */
  notice(pid: number, sighting?: Sighting): Promise<void>;
  /** Which program the process runs, counted from 0 at first sight; null when nothing is known of it. */
  generation(pid: number): number | null;
  /**
   * What stands at an address of a process: needs no process any more. With `generation`, only what was mapped in that
   * program; without, the newest program that had something there. A process that could not be read has the code of another one of its
   * name, which it was forked from or with. Addresses are numbers: user space ends below 2^53 (with
   * five-level page tables below 2^56, but programs are put there only at their own wish).
   */
  resolve(pid: number, address: number, generation?: number): UserFrame;
  /** A stack, leaf first. All but the first are return addresses: what they name is the call before them. */
  resolveStack(pid: number, addresses: readonly number[], generation?: number): UserFrame[];
  counts(): ResolverCounts;
  /** Closes all files. Names that were not asked for yet are gone. */
  close(): void;
}

const UNKNOWN = unknownFrame("[unknown]");
const VSYSCALL: UserFrame = { ...unknownFrame("[vsyscall]"), kind: "module-offset" };
const VSYSCALL_START = 0xffffffffff600000;
const VSYSCALL_END = 0xffffffffff601000;
// Of the four threads that do file work in Node: a /proc file or a file system that hangs must not take all of them.
const LOOKING = 2;
const OPENING = 1;

/** Resolves addresses of user space by /proc/PID/maps, ELF symbol tables and perf maps. It reads, and changes nothing. */
export function createResolver(options: ResolverOptions = {}): Resolver {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const shared: Shared = {
    procRoot: options.procRoot ?? "/proc",
    limits,
    modules: new ModuleCache(limits),
    entries: { left: limits.totalPerfMapEntries },
    waiting: { bytes: 0 },
    now: options.now ?? ((): number => performance.now() / 1000),
  };
  return new ProcResolver(shared);
}

class ProcResolver implements Resolver {
  readonly #shared: Shared;
  /** Maps are read before files are opened: of a process that ends soon there are no maps any more, but files mostly are. */
  readonly #looking: Slots;
  readonly #opening: Slots;
  /** In the order in which they were last seen. */
  readonly #processes = new Map<number, TracedProcess>();
  readonly #siblings = new Siblings();
  #forgotten = 0;
  #turnedAway = 0;

  constructor(shared: Shared) {
    this.#shared = shared;
    this.#looking = new Slots(LOOKING, shared.limits.processes);
    this.#opening = new Slots(OPENING, shared.limits.processes);
  }

  async notice(pid: number, sighting: Sighting = {}): Promise<void> {
    const process = this.#see(pid);
    const renamed = sighting.comm !== undefined && process.comm !== null && process.comm !== sighting.comm;
    process.comm = sighting.comm ?? process.comm;
    const misses =
      sighting.addresses?.some((address) => isUserAddress(address) && !process.covers(address)) === true;
    if (renamed || misses) process.missed = true;
    if (process.reading === null) {
      if (process.spaces.length > 0 && !process.missed) return;
      process.reading = this.#read(process);
    }
    await waitAtMost(process.reading, this.#shared.limits.noticeSeconds);
  }

  generation(pid: number): number | null {
    return this.#processes.get(pid)?.generation ?? null;
  }

  resolve(pid: number, address: number, generation?: number): UserFrame {
    const process = this.#processes.get(pid);
    if (process === undefined) return unmapped(address);
    for (const space of process.spaces) {
      if (generation !== undefined && space.generation !== generation) continue;
      const region = findRegion(space, address);
      if (region !== -1) return frameInRegion(space, region, address, process.jitOf(space));
    }
    process.missed = true;
    const isUnread = process.spaces.length === 0;
    return (isUnread ? this.#siblings.frameAt(process.comm, address) : null) ?? unmapped(address);
  }

  resolveStack(pid: number, addresses: readonly number[], generation?: number): UserFrame[] {
    return addresses.map((address, depth) => {
      if (depth === 0) return this.resolve(pid, address, generation);
      // A call that never returns can be a function's last instruction: then the next one belongs to another function.
      const call = this.resolve(pid, address - 1, generation);
      // Where no function is known, the return address itself is the better one to look up.
      return call.kind === "module-offset" || call.kind === "unknown"
        ? this.resolve(pid, address, generation)
        : call;
    });
  }

  counts(): ResolverCounts {
    const processes = [...this.#processes.values()];
    return {
      processes: processes.length,
      unread: processes.filter((process) => process.spaces.length === 0).length,
      ...this.#shared.modules.counts,
      forgotten: this.#forgotten,
      turnedAway: this.#turnedAway,
    };
  }

  close(): void {
    for (const process of this.#processes.values()) process.close();
    this.#shared.modules.close();
  }

  async #read(process: TracedProcess): Promise<void> {
    if (process.pause > 0) await setTimeout(process.pause * 1000, undefined, { ref: false });
    const ran =
      (await this.#looking.run(() => process.look())) && (await this.#opening.run(() => process.open()));
    if (!ran) this.#turnedAway++;
    this.#siblings.remember(process.comm, process.spaces[0]);
    process.reading = null;
  }

  /** The process, put last in the order of those to be forgotten. */
  #see(pid: number): TracedProcess {
    const known = this.#processes.get(pid);
    const process = known ?? new TracedProcess(pid, this.#shared);
    if (known !== undefined) this.#processes.delete(pid);
    this.#processes.set(pid, process);
    if (known !== undefined) return known;
    for (const [oldest, candidate] of this.#processes) {
      if (this.#processes.size <= this.#shared.limits.processes) break;
      candidate.close();
      this.#processes.delete(oldest);
      this.#forgotten++;
    }
    return process;
  }
}

function isUserAddress(address: number): boolean {
  return Number.isSafeInteger(address) && address > 0;
}

function unmapped(address: number): UserFrame {
  return address >= VSYSCALL_START && address < VSYSCALL_END ? VSYSCALL : UNKNOWN;
}
