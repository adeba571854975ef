import type { KernelTime } from "./line.ts";

/** What a log's prefix leaves out: the year (syslog) and the zone (syslog, `dmesg -T`). */
export interface TimeContext {
  /** A moment not before the last line was written, e.g. the file's mtime: the missing year is counted back from it. */
  reference: Date;
  /** Minutes east of UTC for times without a zone; undefined = this machine's zone. */
  utcOffsetMinutes?: number | undefined;
}

const DAY_MS = 86_400_000;
const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";

/** 0–11, or -1. Takes the C locale's names, the `11月` of East Asian ones and those of common languages: `dmesg -T` writes the locale's. */
export function monthOf(name: string): number {
  if (/^\d{1,2}月$/.test(name)) return Number.parseInt(name, 10) - 1;
  const at = MONTHS.indexOf(name.slice(0, 3));
  if (name.length >= 3 && at >= 0 && at % 3 === 0) return at / 3;
  localMonths ??= createLocalMonths();
  return localMonths.get(shortMonth(name)) ?? -1;
}

const LANGUAGES = ["de", "fr", "es", "pt", "it", "nl", "sv", "pl", "ru", "uk"];

let localMonths: Map<string, number> | null = null;

function shortMonth(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

/** Short names of the months, and their first three letters where those are only one month's. */
function createLocalMonths(): Map<string, number> {
  const found = new Map<string, number>();
  const add = (key: string, month: number) =>
    found.set(key, found.has(key) && found.get(key) !== month ? -1 : month);
  for (const language of LANGUAGES) {
    const format = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", timeZone: "UTC" });
    for (let month = 0; month < 12; month += 1) {
      const parts = format.formatToParts(Date.UTC(2026, month, 1));
      const name = shortMonth(parts.find((part) => part.type === "month")?.value ?? "");
      for (const key of new Set([name, name.slice(0, 3)])) if (key.length >= 3) add(key, month);
    }
  }
  return found;
}

/** `fraction` is the text after the second's point ("" for none); microseconds are kept. */
function wall(ms: number, fraction: string, zoned: boolean): KernelTime | null {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return null;
  const whole = new Date(ms).toISOString().slice(0, 19);
  return { kind: "wall", iso: `${whole}.${fraction.slice(0, 6).padEnd(6, "0")}Z`, zoned };
}

function toUtc(parts: [number, number, number, number, number, number], context: TimeContext): number {
  const [year, month, day, hour, minute, second] = parts;
  if (context.utcOffsetMinutes === undefined)
    return new Date(year, month, day, hour, minute, second).getTime();
  return Date.UTC(year, month, day, hour, minute, second) - context.utcOffsetMinutes * 60_000;
}

function clock(text: string): [number, number, number] {
  return [Number(text.slice(0, 2)), Number(text.slice(3, 5)), Number(text.slice(6, 8))];
}

/** `2026-11-22T21:40:47`, a fraction after `.` or `,`, zone `Z`, `+00:00`, `+0000` or none. */
export function parseIso(text: string, context: TimeContext): KernelTime | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)?$/.exec(text);
  if (match === null) return null;
  const [, year = "", month = "", day = "", time = "", fraction = "", zone] = match;
  if (zone === undefined) {
    return wall(
      toUtc([Number(year), Number(month) - 1, Number(day), ...clock(time)], context),
      fraction,
      false,
    );
  }
  const sign = zone === "Z" ? "+00:00" : zone.includes(":") ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
  return wall(Date.parse(`${year}-${month}-${day}T${time}${sign}`), fraction, true);
}

/** Syslog's `Nov 22 21:40:47[.123456]`: the latest such day that is not after the reference (one day of slack). */
export function parseSyslogTime(
  month: string,
  day: string,
  time: string,
  context: TimeContext,
): KernelTime | null {
  const index = monthOf(month);
  if (index < 0) return null;
  const limit = context.reference.getTime() + DAY_MS;
  const year = context.reference.getFullYear() + 1;
  for (const candidate of [year, year - 1, year - 2]) {
    const ms = toUtc([candidate, index, Number(day), ...clock(time)], context);
    if (ms <= limit) return wall(ms, time.slice(9), false);
  }
  return null;
}

/** `dmesg -T` and busybox: `Nov 22 21:40:47 2026` without the weekday. */
export function parseCtime(
  month: string,
  day: string,
  time: string,
  year: string,
  context: TimeContext,
): KernelTime | null {
  const index = monthOf(month);
  if (index < 0) return null;
  return wall(toUtc([Number(year), index, Number(day), ...clock(time)], context), "", false);
}

/** Seconds (as text, so that microseconds survive) since the epoch: `journalctl -o short-unix`, journal JSON. */
export function parseUnix(seconds: string, fraction: string): KernelTime | null {
  return wall(Number(seconds) * 1000, fraction, true);
}
