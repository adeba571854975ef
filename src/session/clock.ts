/** Wall clock of a moment in the session, ISO 8601 UTC with microseconds. `start`: ISO text; `at`: seconds since it. */
export function isoTime(start: string, at: number): string {
  const micros = Math.round(at * 1e6) + Math.round((Date.parse(start) % 1000) * 1000);
  const base = Math.floor(Date.parse(start) / 1000) * 1000;
  const whole = new Date(base + Math.floor(micros / 1e6) * 1000).toISOString();
  const rest = ((micros % 1e6) + 1e6) % 1e6;
  return `${whole.slice(0, 19)}.${String(rest).padStart(6, "0")}Z`;
}

/** Seconds to the microsecond: differences of doubles have longer tails. */
export function roundTime(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}

/** The default name of a profile: `drops-nginx-7-20261122T201500Z.speedscope.json`. Host names are made safe for a file name. */
export function profileName(command: string, host: string, start: string): string {
  const time = start
    .replace(/[-:]/g, "")
    .replace(/\.\d+Z?$/, "")
    .replace(/Z$/, "");
  const safeHost =
    host
      .replace(/[^A-Za-z0-9._-]/g, "_")
      .replace(/^[.-]+/, "_")
      .slice(0, 64) || "host";
  return `${command}-${safeHost}-${time}Z.speedscope.json`;
}
