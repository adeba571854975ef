const COUNT = new Intl.NumberFormat("en-US");

/** 1842 → "1,842". */
export function formatCount(value: number | bigint): string {
  return COUNT.format(value);
}

/** Events a second, three significant digits at least: 0.3 → "0.3", 61.4 → "61", 1234.5 → "1,235". */
export function formatRate(perSecond: number): string {
  if (perSecond >= 10 || perSecond === 0) return COUNT.format(Math.round(perSecond));
  return perSecond.toFixed(perSecond >= 1 ? 1 : 2);
}

/** Bytes in the largest binary unit that leaves at least 1: 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || Math.abs(value) >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Seconds for a reader: 0.25 → "0.3 s", 30 → "30.0 s", 90 → "1m30s". */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = whole % 60;
  return hours > 0 ? `${hours}h${minutes}m${rest}s` : `${minutes}m${rest}s`;
}

/** "1 packet", "2 packets". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

const BARS = "▁▂▃▄▅▆▇█";

/** The last `width` values as bars, scaled to the largest; a zero is the lowest bar. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const top = Math.max(...shown, 0);
  return shown
    .map(
      (value) => BARS[top === 0 ? 0 : Math.min(7, Math.ceil((value / top) * 8) - (value > 0 ? 1 : 0))] ?? "▁",
    )
    .join("");
}
