import { secondsOf } from "../../src/evidence/kernel-log/line.ts";
import { describeKill } from "./log/describe.ts";
import { REPEAT_SECONDS } from "./log/facts.ts";
import { isFollower, type OomReport } from "./record.ts";
import type { SampleBook } from "./samples.ts";
import { scopeKey } from "./words.ts";

export interface Teller {
  /** The lines for one kill, seen at `at` (seconds since the session's start). */
  tell(report: OomReport, at: number): string[];
}

export interface TellerOptions {
  /** Start of the session, seconds since the epoch. */
  readonly start: number;
  /** The kill is from a saved log: the log's own time counts, not the reader's. */
  readonly isSaved: boolean;
  readonly samples: Pick<SampleBook, "growth">;
}

const MAX_SCOPES = 10_000;
const MAX_TIMES = 1000;

/** Puts kills into words and knows which kill of its cgroup it is. */
export function createTeller({ start, isSaved, samples }: TellerOptions): Teller {
  const counts = new Map<string, number>();
  const times = new Map<string, number[]>();

  function repeatsOf(report: OomReport, key: string, at: number): { count: number; seconds: number } | null {
    // A group that dies together is one kill.
    if (scopeKey(report) === "(unknown)" || isFollower(report)) return null;
    const seconds = report.monotonic ?? (report.time === null ? null : secondsOf(report.time)) ?? at;
    const recent = (times.get(key) ?? []).filter((time) => Math.abs(seconds - time) <= REPEAT_SECONDS);
    recent.push(seconds);
    if (recent.length > MAX_TIMES) recent.shift();
    if (times.has(key) || times.size < MAX_SCOPES) times.set(key, recent);
    return { count: recent.length, seconds: Math.max(...recent) - Math.min(...recent) };
  }

  return {
    tell(report, at) {
      // A log can be of several hosts, and their cgroups have the same names; a cpuset is not the host.
      const key = [report.host, report.scope.kind, report.order === -1, scopeKey(report)].join("\n");
      const nth = (counts.get(key) ?? 0) + 1;
      if (nth > 1 || counts.size < MAX_SCOPES) counts.set(key, nth);
      const lines = describeKill(report, {
        when: isSaved ? sayLogTime(report) : clock(start + at),
        repeats: repeatsOf(report, key, at),
        growthOf: (task) => samples.growth(task.pid, task.comm, task.rssBytes, at),
      });
      // Which kill of this cgroup it is.
      const tag = nth > 1 ? `OOM #${String(nth)}  ` : "OOM  ";
      return lines.map((line, index) => (index === 0 ? `${tag}${line}` : `     ${line}`));
    },
  };
}

/** "20:15:02 UTC": a report must read the same wherever it is replayed. */
function clock(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(11, 19)} UTC`;
}

/** "2026-05-15 17:19:46 UTC", or "46.2 s after boot"; null where the log tells no time. */
function sayLogTime({ time }: OomReport): string | null {
  if (time === null) return null;
  if (time.kind === "monotonic") return `${time.seconds.toFixed(1)} s after boot`;
  if (time.zoned) return `${time.iso.slice(0, 19).replace("T", " ")} UTC`;
  // Without a zone it was read in this machine's: back to what stands in the log.
  const date = new Date(time.iso);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${String(date.getFullYear())}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
