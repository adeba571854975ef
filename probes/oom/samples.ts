import type { Json } from "../../src/probe/define.ts";

/** Looks at the processes' memory over time. */
export interface SampleBook {
  /** Takes a fact `memory-sample`, seen at `at` seconds. */
  add(value: Json, at: number): void;
  /** Bytes a second up to `rssBytes` at `at`; null where the process was not seen long enough before. */
  growth(pid: number, comm: string, rssBytes: number | null, at: number): number | null;
  /** MemAvailable and MemTotal of the last look. */
  readonly available: number | null;
  readonly total: number | null;
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

interface Track {
  readonly start: number;
  readonly comm: string;
  points: { readonly at: number; readonly bytes: number }[];
}

export function createSampleBook(): SampleBook {
  const tracks = new Map<number, Track>();
  let available: number | null = null;
  let total: number | null = null;
  let pause = MIN_PAUSE;
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
    add(value, at) {
      if (value === null || typeof value !== "object" || Array.isArray(value)) return;
      const sample = value as { readonly [key: string]: Json };
      const number = (name: string) => (typeof sample[name] === "number" ? sample[name] : null);
      available = number("available");
      total = number("total");
      pause = Math.max(MIN_PAUSE, (number("took") ?? 0) * COST);
      const processes = sample["processes"];
      for (const entry of Array.isArray(processes) ? processes : []) {
        const [pid, start, bytes, comm] = Array.isArray(entry) ? (entry as readonly Json[]) : [];
        if (typeof pid !== "number" || typeof start !== "number" || typeof bytes !== "number") continue;
        if (typeof comm !== "string") continue;
        const known = tracks.get(pid);
        const track: Track = known?.start === start ? { ...known, comm } : { start, comm, points: [] };
        track.points.push({ at, bytes });
        if (track.points.length > MAX_POINTS) track.points.shift();
        tracks.set(pid, track);
      }
      for (const [pid, track] of tracks) {
        if ((track.points.at(-1)?.at ?? 0) < at - WINDOW) tracks.delete(pid);
      }
    },
    growth(pid, comm, rssBytes, at) {
      const track = tracks.get(pid);
      if (track === undefined || rssBytes === null || track.comm !== comm) return null;
      const first = track.points.find((point) => point.at >= at - WINDOW);
      if (first === undefined || at - first.at < MIN_SPAN) return null;
      return Math.round((rssBytes - first.bytes) / (at - first.at));
    },
  };
}
