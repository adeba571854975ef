import type { OomVictim } from "../record.ts";

/** Victims already counted, so that a log that names one twice does not make it two. */
export interface Seen {
  isRepeat(host: string | null, victim: OomVictim, seconds: number | null): boolean;
}

/** Most victims remembered; older ones are forgotten first. */
const MAX_SEEN = 16_384;
/** A pid can come back only after the whole pid space was used: not within this many seconds. */
const SAME_SECONDS = 10;

/**
 * One victim is one kill: a group kill may print the chosen process again, and merged log files (kern.log and syslog)
 * hold every line twice. The sizes may differ by then; the same pid and name at another time is another process.
 */
export function createSeen(): Seen {
  const times = new Map<string, number[]>();
  const untimed = new Set<string>();

  const forget = (): void => {
    for (const map of [times, untimed]) {
      const oldest = map.keys().next();
      if (map.size > MAX_SEEN && oldest.done !== true) map.delete(oldest.value);
    }
  };
  return {
    isRepeat(host, victim, seconds) {
      if (victim.pid === null) return false;
      const key = [host, victim.pid, victim.comm].join("\u0000");
      forget();
      if (seconds === null) {
        // Without a clock only the sizes tell a repeated line from a later process with the same pid.
        const exact = [key, victim.totalVmBytes, victim.anonRssBytes, victim.fileRssBytes].join("\u0000");
        if (untimed.has(exact)) return true;
        untimed.add(exact);
        return false;
      }
      const known = times.get(key) ?? [];
      if (known.some((time) => Math.abs(time - seconds) <= SAME_SECONDS)) return true;
      known.push(seconds);
      if (known.length > 16) known.shift();
      times.set(key, known);
      return false;
    },
  };
}
