import type { Json, JsonObject } from "../../src/probe/define.ts";
import type { Growth } from "./log/describe.ts";
import type { Pressure } from "./record.ts";

/** A memory cgroup and how much of its limit is taken; `workingSetBytes` leaves out page cache that the kernel takes back first. */
export interface TightCgroup {
  readonly path: string;
  readonly limitBytes: number;
  readonly usageBytes: number;
  readonly workingSetBytes: number;
}

/** Looks at the processes' memory over time. */
export interface SampleBook {
  /** Takes a fact `memory-sample`, seen at `at` seconds. */
  add(value: Json, at: number): void;
  /** A process was seen, `age` seconds old at `at`, that began with nothing in memory. `start`: as a sample has it. */
  born(process: { readonly pid: number; readonly start: number; readonly age: number }, at: number): void;
  /** The change up to `rssBytes` at `at`; null where the process was not seen long enough before. */
  growth(pid: number, comm: string, rssBytes: number | null, at: number): Growth | null;
  /** MemAvailable and MemTotal of the last look. */
  readonly available: number | null;
  readonly total: number | null;
  /** How long tasks of this host waited for memory lately, at the last look; null where PSI is off. */
  readonly pressure: Pressure | null;
  /** The cgroups nearest to their limits at the last look, the tightest first. */
  readonly tightest: readonly TightCgroup[];
  /** A process at the last look that saw it. */
  last(pid: number): { readonly comm: string; readonly rssBytes: number } | null;
  /** Seconds until the next look is due, so that looking takes at most a fortieth of one CPU's time. */
  readonly pause: number;
}

/** Growth is told over this long (seconds) before a kill. */
const WINDOW = 180;
/** Shorter than that (seconds) a difference is chance. */
const MIN_SPAN = 0.5;
const MIN_PAUSE = 2;
const MAX_POINTS = 91;
const COST = 40;

/** For a start that is known to the hundredth of a second. */
const MIN_AGE = 0.05;

interface Track {
  readonly start: number;
  /** Null: not seen yet, only when it began. */
  readonly comm: string | null;
  /** Seconds since the session's start when it began with nothing; null where that is not known or before the session. */
  readonly birth: number | null;
  points: { readonly at: number; readonly bytes: number }[];
}

export function createSampleBook(): SampleBook {
  const tracks = new Map<number, Track>();
  let available: number | null = null;
  let total: number | null = null;
  let pause = MIN_PAUSE;
  let pressure: Pressure | null = null;
  let tightest: readonly TightCgroup[] = [];
  return {
    get available() {
      return available;
    },
    get total() {
      return total;
    },
    get pause() {
      return pause;
    },
    get pressure() {
      return pressure;
    },
    get tightest() {
      return tightest;
    },
    last(pid) {
      const track = tracks.get(pid);
      const point = track?.points.at(-1);
      return track?.comm == null || point === undefined ? null : { comm: track.comm, rssBytes: point.bytes };
    },
    add(value, at) {
      if (value === null || typeof value !== "object" || Array.isArray(value)) return;
      const sample = value as { readonly [key: string]: Json };
      const number = (name: string) => (typeof sample[name] === "number" ? sample[name] : null);
      available = number("available");
      total = number("total");
      pressure = readPressure(sample["pressure"] ?? null);
      tightest = readTightest(sample["cgroups"] ?? null);
      pause = Math.max(MIN_PAUSE, (number("took") ?? 0) * COST);
      const processes = sample["processes"];
      for (const entry of Array.isArray(processes) ? processes : []) {
        const [pid, start, bytes, comm, age] = Array.isArray(entry) ? (entry as readonly Json[]) : [];
        if (typeof pid !== "number" || typeof start !== "number" || typeof bytes !== "number") continue;
        if (typeof comm !== "string") continue;
        const known = tracks.get(pid);
        const birth = birthOf(age, at);
        const track: Track = known?.start === start ? { ...known, comm } : { start, comm, birth, points: [] };
        track.points.push({ at, bytes });
        if (track.points.length > MAX_POINTS) track.points.shift();
        tracks.set(pid, track);
      }
      for (const [pid, track] of tracks) {
        if ((track.points.at(-1)?.at ?? track.birth ?? 0) < at - WINDOW) tracks.delete(pid);
      }
    },
    born({ pid, start, age }, at) {
      const known = tracks.get(pid);
      const birth = birthOf(age, at);
      if (birth === null || known?.start === start) return;
      tracks.set(pid, { start, comm: null, birth, points: [] });
    },
    growth(pid, comm, rssBytes, at) {
      const track = tracks.get(pid);
      if (track === undefined || rssBytes === null || (track.comm !== null && track.comm !== comm))
        return null;
      // It began while trace looked on: all it holds came since.
      const { birth } = track;
      if (birth !== null && birth >= at - WINDOW)
        return at - birth < MIN_AGE ? null : { bytes: rssBytes, seconds: at - birth };
      const first = track.points.find((point) => point.at >= at - WINDOW);
      if (first === undefined || at - first.at < MIN_SPAN) return null;
      return { bytes: rssBytes - first.bytes, seconds: at - first.at };
    },
  };
}

/** When a process of that age began; null for an age that is none, and for what began before the session. */
function birthOf(age: Json | undefined, at: number): number | null {
  return typeof age === "number" && age >= 0 && age <= at ? at - age : null;
}

function isObject(value: Json): value is JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** A pressure as a fact has it; null for none. */
export function readPressure(value: Json): Pressure | null {
  if (!isObject(value)) return null;
  const { some, full } = value;
  return typeof some === "number" ? { some, full: typeof full === "number" ? full : null } : null;
}

function readTightest(value: Json): TightCgroup[] {
  return (Array.isArray(value) ? (value as readonly Json[]) : []).flatMap((entry) => {
    if (!isObject(entry)) return [];
    const { path, limitBytes, usageBytes, workingSetBytes } = entry;
    const isWhole =
      typeof path === "string" &&
      typeof limitBytes === "number" &&
      typeof usageBytes === "number" &&
      typeof workingSetBytes === "number";
    return isWhole ? [{ path, limitBytes, usageBytes, workingSetBytes }] : [];
  });
}

/** Bytes a second. */
export function rateOf(growth: Growth | null): number | null {
  return growth === null ? null : Math.round(growth.bytes / growth.seconds);
}
