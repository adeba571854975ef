import { GrowingCount } from "../../src/profile/samples/clock.ts";
import { splitKey, parseIntegerPart } from "../../src/wire/key.ts";
import type { MapEntry } from "../../src/wire/message.ts";

/** A kind of work, how often and for how long (seconds, start to end). */
export interface WorkTotal {
  seconds: number;
  count: number;
}

export interface NapiTotal {
  packets: number;
  polls: number;
  /** Polls that took as much as they may: there was more. */
  full: number;
}

export interface CommitTotal extends WorkTotal {
  blocks: number;
}

interface Draft {
  /** By CPU, vector and 1 for ksoftirqd, 0 for interrupts: key `cpu,vector,own`. */
  readonly softirq: Map<string, WorkTotal>;
  /** Key `own,device`. */
  readonly napi: Map<string, NapiTotal>;
  /** By thread and function (low 32 bits of its address): key `tid,function`. */
  readonly work: Map<string, WorkTotal>;
  /** By memory node. */
  readonly kswapdWakes: Map<number, number>;
  /** By process. */
  readonly kswapdCallers: Map<number, number>;
  /** By device number as the kernel has it. */
  readonly commits: Map<number, CommitTotal>;
  /** By device and process: key `dev,pid`. */
  readonly fsyncs: Map<string, number>;
}

/** What the program counted during the run. */
export type Totals = {
  readonly [Name in keyof Draft]: Draft[Name] extends Map<infer Key, infer Value>
    ? ReadonlyMap<Key, Value>
    : never;
};

type Take = (into: Draft, key: string, value: number) => void;

const napi =
  (set: (total: NapiTotal, value: number) => void): Take =>
  (into, key, value) =>
    set(entryOf(into.napi, key, { packets: 0, polls: 0, full: 0 }), value);
const commit =
  (set: (total: CommitTotal, value: number) => void): Take =>
  (into, key, value) =>
    set(entryOf(into.commits, Number(key), { seconds: 0, count: 0, blocks: 0 }), value);
const timed =
  (name: "work" | "softirq", set: (total: WorkTotal, value: number) => void): Take =>
  (into, key, value) =>
    set(entryOf(into[name], key, { seconds: 0, count: 0 }), value);
const plain =
  (name: "kswapdWakes" | "kswapdCallers"): Take =>
  (into, key, value) =>
    void into[name].set(Number(key), value);

/** The maps of kthreads.bt: how a key is made uniform (null: cannot be read), and where its value belongs. */
const MAPS: Readonly<Record<string, { readonly key: (text: string) => string | null; readonly take: Take }>> =
  {
    "@softirq_ns": {
      key: softirqKey,
      take: timed("softirq", (total, value) => (total.seconds = value / 1e9)),
    },
    "@softirq_n": { key: softirqKey, take: timed("softirq", (total, value) => (total.count = value)) },
    "@napi_work": { key: napiKey, take: napi((total, value) => (total.packets = value)) },
    "@napi_n": { key: napiKey, take: napi((total, value) => (total.polls = value)) },
    "@napi_full": { key: napiKey, take: napi((total, value) => (total.full = value)) },
    "@work_ns": { key: workKey, take: timed("work", (total, value) => (total.seconds = value / 1e9)) },
    "@work_n": { key: workKey, take: timed("work", (total, value) => (total.count = value)) },
    "@kswapd_n": { key: numberKey, take: plain("kswapdWakes") },
    "@waker": { key: numberKey, take: plain("kswapdCallers") },
    "@commit_ns": { key: numberKey, take: commit((total, value) => (total.seconds = value / 1e9)) },
    "@commit_n": { key: numberKey, take: commit((total, value) => (total.count = value)) },
    "@commit_blocks": { key: numberKey, take: commit((total, value) => (total.blocks = value)) },
    "@fsync": { key: pairKey, take: (into, key, value) => void into.fsyncs.set(key, value) },
  };

/** Reads the maps of kthreads.bt, which grow and are printed now and then. */
export class TotalsReader {
  readonly #maps = new Map<string, Map<string, GrowingCount>>();
  /** Maps are printed in rounds. An empty one is not: what is in none of a round was 0 then. */
  readonly #round = new Set<string>();
  #lastAt: number | null = null;
  #previousRound: number | null = null;
  /** Entries that could not be read. */
  malformed = 0;

  /** True when the map is one of ours. `at`: seconds of the session. */
  read(name: string, entries: readonly MapEntry[], at: number): boolean {
    const known = Object.hasOwn(MAPS, name) ? MAPS[name] : undefined;
    if (known === undefined) return false;
    if (this.#round.has(name)) {
      this.#round.clear();
      this.#previousRound = this.#lastAt;
    }
    this.#round.add(name);
    this.#lastAt = at;
    const counts = entryOf(this.#maps, name, new Map<string, GrowingCount>());
    for (const { key: text, value } of entries) {
      const count = typeof value === "bigint" ? Number(value) : value;
      const key = text === null ? null : known.key(text);
      if (key === null || typeof count !== "number") this.malformed += 1;
      else (counts.get(key) ?? this.#begin(counts, key)).see(at, count);
    }
    return true;
  }

  #begin(counts: Map<string, GrowingCount>, key: string): GrowingCount {
    const count = new GrowingCount();
    if (this.#previousRound !== null) count.see(this.#previousRound, 0);
    counts.set(key, count);
    return count;
  }

  /** Functions that work was done in: low 32 bits of their addresses. */
  functions(): Set<string> {
    const keys = [...(this.#maps.get("@work_n")?.keys() ?? [])];
    return new Set(keys.map((key) => key.slice(key.indexOf(",") + 1)));
  }

  /** What was counted from one moment to another (seconds of the session; null: from the beginning, to the end). */
  between(from: number | null, to: number | null): Totals {
    const draft: Draft = {
      softirq: new Map(),
      napi: new Map(),
      work: new Map(),
      kswapdWakes: new Map(),
      kswapdCallers: new Map(),
      commits: new Map(),
      fsyncs: new Map(),
    };
    for (const [name, counts] of this.#maps) {
      for (const [key, count] of counts) {
        const growth = count.growth(from, to);
        if (growth > 0) MAPS[name]?.take(draft, key, growth);
      }
    }
    return draft;
  }
}

function softirqKey(text: string): string | null {
  return /^\d+,\d+,[01]$/.test(text) ? text : null;
}

function napiKey(text: string): string | null {
  const [own, device] = splitKey(text, 2) ?? [];
  if (device === undefined || (own !== "0" && own !== "1")) return null;
  // 0.24 and later take the brackets of "(no_device)" away.
  return `${own},${/^\(?no_device\)?$/.test(device) ? "" : device}`;
}

function workKey(text: string): string | null {
  const [tid = "", address = ""] = splitKey(text, 2) ?? [];
  const low = toLowWord(address);
  return toInteger(tid) === null || low === null ? null : `${tid},${low}`;
}

function pairKey(text: string): string | null {
  return /^\d+,\d+$/.test(text) ? text : null;
}

function numberKey(text: string): string | null {
  const value = toInteger(text);
  return value === null ? null : String(value);
}

function entryOf<Key, Value>(map: Map<Key, Value>, key: Key, empty: Value): Value {
  let entry = map.get(key);
  if (entry === undefined) map.set(key, (entry = empty));
  return entry;
}

function toInteger(text: string): number | null {
  const value = parseIntegerPart(text);
  return typeof value === "number" ? value : null;
}

/** Low 32 bits of an address, which bpftrace prints as a signed number of 64 bits. */
export function toLowWord(text: string): number | null {
  const value = parseIntegerPart(text);
  return value === null ? null : Number(BigInt.asUintN(32, BigInt(value)));
}
