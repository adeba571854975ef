import type { KernelTime } from "./line.ts";
import { parseCtime, parseIso, parseSyslogTime, type TimeContext } from "./time.ts";

/** Wall-clock prefixes of one stream; the last whole second is remembered because neighbours share it. */
export interface Stamps {
  syslog(month: string, day: string, time: string, fraction: string): KernelTime | null;
  iso(second: string, fraction: string, zone: string): KernelTime | null;
  ctime(month: string, day: string, time: string, year: string): KernelTime | null;
}

function withFraction(time: KernelTime | null, fraction: string): KernelTime | null {
  if (time === null || time.kind !== "wall" || fraction === "") return time;
  return { ...time, iso: `${time.iso.slice(0, 20)}${fraction.slice(0, 6).padEnd(6, "0")}Z` };
}

/** Parsers for the wall-clock prefixes of one log, with the year and zone it leaves out taken from `context`. */
export function createStamps(context: TimeContext): Stamps {
  let key = "";
  let last: KernelTime | null = null;
  const remember = (id: string, make: () => KernelTime | null): KernelTime | null => {
    if (id !== key) {
      last = make();
      key = id;
    }
    return last;
  };
  return {
    syslog: (month, day, time, fraction) =>
      withFraction(
        remember(`${month} ${day} ${time}`, () => parseSyslogTime(month, day, time, context)),
        fraction,
      ),
    iso: (second, fraction, zone) =>
      withFraction(
        remember(second + zone, () => parseIso(second + zone, context)),
        fraction,
      ),
    ctime: (month, day, time, year) =>
      remember(`${month} ${day} ${time} ${year}`, () => parseCtime(month, day, time, year, context)),
  };
}
