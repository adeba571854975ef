import { hash } from "node:crypto";
import { findRegion, hasUnexplainedCode, openAddressSpace, type AddressSpace } from "./address-space.ts";
import { JitCode, openPerfMap } from "./jit-code.ts";
import type { SymbolLimits } from "./limits.ts";
import { parseMaps } from "./maps.ts";
import type { ModuleCache } from "./module-cache.ts";
import { readProcFile } from "./open-file.ts";
import { parseIdentity, parseStatus, type ProcessIdentity } from "./proc-status.ts";

/** What all processes of a resolver share. */
export interface Shared {
  readonly procRoot: string;
  readonly limits: SymbolLimits;
  readonly modules: ModuleCache;
  /** Perf map entries that may still be taken. */
  readonly entries: { left: number };
  /** Bytes of maps that were read and whose files are not opened yet. */
  readonly waiting: { bytes: number };
  /** Seconds, from any fixed moment. */
  readonly now: () => number;
}

/** What a process looked like. */
interface Sight {
  /** `ProcessIdentity.key`. */
  readonly identity: string;
  /** /proc/PID/maps. */
  readonly maps: Buffer;
}

const STATUS_BYTES = 65_536;
const MAPS_BYTES = 67_108_864;
/** When so many wait, maps are read as late as files are opened. Usual ones have 10 kB. */
const WAITING_BYTES = 67_108_864;
// Garbage addresses (code without frame pointers) miss in every sample: reading again and again finds nothing for them.
const BACKOFF_MOST = 64;

/** One pid: the programs it has run since it was first seen, as far as they are remembered. */
export class TracedProcess {
  readonly #folder: string;
  readonly #shared: Shared;
  /** Newest first. */
  spaces: AddressSpace[] = [];
  /** By generation. */
  readonly #jit = new Map<number, JitCode>();
  /** The name it last had; another one means that it has run another program. */
  comm: string | null = null;
  /** An address was asked for that is in no mapping. */
  missed = false;
  reading: Promise<void> | null = null;
  #closed = false;
  /** What `look` found, for `open`. */
  #seen: Sight | "later" | null = null;
  /** How long `look` took, in seconds. */
  #spent = 0;
  /** Of the maps that the newest space was made from. */
  #digest = "";
  #nextRead = 0;
  #backoff = 1;

  constructor(pid: number, shared: Shared) {
    this.#folder = `${shared.procRoot}/${pid}`;
    this.#shared = shared;
  }

  get generation(): number | null {
    return this.spaces[0]?.generation ?? null;
  }

  jitOf(space: AddressSpace): JitCode | null {
    return this.#jit.get(space.generation) ?? null;
  }

  /** How long to wait before the maps may be read (again), in seconds. */
  get pause(): number {
    return Math.max(0, this.#nextRead - this.#shared.now());
  }

  /** Reads what only a living process says: who it is, and its maps. */
  async look(): Promise<void> {
    const { waiting, now } = this.#shared;
    const start = now();
    this.#seen = waiting.bytes > WAITING_BYTES ? "later" : await this.#readMaps();
    this.#spent = now() - start;
    if (this.#seen !== null && this.#seen !== "later") waiting.bytes += this.#seen.maps.length;
  }

  /** After `look`: opens what is new in the maps. A process that has ended keeps what was known. */
  async open(): Promise<void> {
    const start = this.#shared.now();
    const changed = await this.#openStable();
    this.missed = false;
    this.#backoff = changed ? 1 : Math.min(this.#backoff * 2, BACKOFF_MOST);
    const end = this.#shared.now();
    // Reading takes a fifth of the time at most, also of a process with a hundred thousand mappings.
    const spent = this.#spent + end - start;
    this.#nextRead = end + Math.max(this.#shared.limits.rereadSeconds, 4 * spent) * this.#backoff;
  }

  /** Whether an address is in code that was known when the maps were last read. */
  covers(address: number): boolean {
    const space = this.spaces[0];
    return space !== undefined && findRegion(space, address) !== -1;
  }

  close(): void {
    this.#closed = true;
    for (const jit of this.#jit.values()) jit.close();
    this.#jit.clear();
  }

  async #readMaps(): Promise<Sight | null> {
    const identity = await this.#readIdentity();
    if (identity?.hasMemory !== true) return null;
    const maps = await readProcFile(`${this.#folder}/maps`, MAPS_BYTES);
    return maps === null || maps.length === 0 ? null : { identity: identity.key, maps };
  }

  /** The maps of one program: if the process has run another one meanwhile, they are read again. */
  async #openStable(): Promise<boolean> {
    const looked = this.#seen;
    this.#seen = null;
    if (looked !== null && looked !== "later") this.#shared.waiting.bytes -= looked.maps.length;
    let seen = looked === "later" ? await this.#readMaps() : looked;
    for (let attempt = 0; attempt < 3 && seen !== null; attempt++) {
      const known = this.spaces[0];
      const same = known?.identity === seen.identity;
      const digest = hash("sha1", seen.maps);
      // Addresses that lead nowhere have the maps read again and again: mostly they are what they were.
      if (known !== undefined && same && digest === this.#digest) {
        await this.#openJit(known);
        return false;
      }
      const generation = known === undefined ? 0 : same ? known.generation : known.generation + 1;
      const program = { generation, identity: seen.identity };
      const maps = parseMaps(seen.maps, this.#shared.limits.mappings);
      const space = await openAddressSpace(this.#folder, maps, program, this.#shared.modules);
      const after = await this.#readIdentity();
      // Ended since: what was opened in time is good.
      if (after === null || !after.hasMemory || after.key === seen.identity) {
        await this.#openJit(space);
        this.#digest = digest;
        return this.#remember(space);
      }
      seen = await this.#readMaps();
    }
    return false;
  }

  async #readIdentity(): Promise<ProcessIdentity | null> {
    const stat = await readProcFile(`${this.#folder}/stat`, STATUS_BYTES);
    return stat === null ? null : parseIdentity(stat.toString("latin1"));
  }

  async #openJit(space: AddressSpace): Promise<void> {
    if (this.#jit.has(space.generation) || !hasUnexplainedCode(space)) return;
    const bytes = await readProcFile(`${this.#folder}/status`, STATUS_BYTES);
    if (bytes === null) return;
    const status = parseStatus(bytes.toString("latin1"));
    const pid = status.innerPid ?? Number(this.#folder.slice(this.#folder.lastIndexOf("/") + 1));
    const file = await openPerfMap(this.#folder, pid, status.uid);
    if (file === null) return;
    if (this.#closed || this.#jit.has(space.generation)) file.close();
    else this.#jit.set(space.generation, new JitCode(file, this.#shared));
  }

  #remember(space: AddressSpace): boolean {
    const known = this.spaces[0];
    if (known !== undefined && known.identity === space.identity && isSameLayout(known, space)) {
      this.spaces[0] = space;
      return false;
    }
    this.spaces = [space, ...this.spaces].slice(0, this.#shared.limits.generations);
    for (const [generation, jit] of this.#jit) {
      if (this.spaces.some((kept) => kept.generation === generation)) continue;
      jit.close();
      this.#jit.delete(generation);
    }
    return true;
  }
}

function isSameLayout(a: AddressSpace, b: AddressSpace): boolean {
  return (
    a.starts.length === b.starts.length &&
    a.starts.every((start, i) => start === b.starts[i] && a.ends[i] === b.ends[i])
  );
}
