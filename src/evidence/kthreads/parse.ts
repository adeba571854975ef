import { TICKS_PER_SECOND } from "../../host/process-stat.ts";
import type { MountedDisk, ReceivedPackets } from "./types.ts";

/** PF_KTHREAD of include/linux/sched.h. */
const KERNEL_THREAD = 0x200000;

/** What /proc/PID/stat (proc_pid_stat(5)) says of a kernel thread; null for everything else. */
export function parseThreadStat(
  text: string,
): { pid: number; name: string; cpuSeconds: number; started: number } | null {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 0 || close < open) return null;
  const fields = text.slice(close + 2).split(" ");
  // fields[0] is field 3 of the manual page: flags 9, utime 14, stime 15, starttime 22.
  const [flags, user, system, started] = [fields[6], fields[11], fields[12], fields[19]].map(Number);
  const pid = Number(text.slice(0, open));
  if (flags === undefined || (flags & KERNEL_THREAD) === 0 || !(pid > 0)) return null;
  const ticks = (user ?? NaN) + (system ?? NaN);
  if (!(ticks >= 0) || started === undefined) return null;
  return { pid, name: text.slice(open + 1, close), cpuSeconds: ticks / TICKS_PER_SECOND, started };
}

/** CPU time in seconds from /proc/PID/schedstat (nanoseconds run, waited, times run); null where there is none. */
export function parseSchedstat(text: string): number | null {
  const found = /^(\d+) \d+ \d+/.exec(text);
  return found === null ? null : Number(found[1]) / 1e9;
}

/** Context switches from /proc/PID/status. */
export function parseSwitches(text: string): { voluntary: number | null; involuntary: number | null } {
  const read = (name: string): number | null => {
    const found = new RegExp(`^${name}:\\s+(\\d+)$`, "m").exec(text);
    return found === null ? null : Number(found[1]);
  };
  return { voluntary: read("voluntary_ctxt_switches"), involuntary: read("nonvoluntary_ctxt_switches") };
}

/** Block devices in /proc/self/mountinfo (proc_pid_mountinfo(5)): number, mount point, file system, source. The first mount of each counts. */
export function parseMountinfo(
  text: string,
): { number: string; path: string; type: string; source: string }[] {
  const found = new Map<string, { number: string; path: string; type: string; source: string }>();
  for (const line of text.split("\n")) {
    const [front = "", back = ""] = line.split(" - ");
    const [, , number, , path] = front.split(" ");
    const [type, source] = back.split(" ");
    if (number === undefined || path === undefined || type === undefined || source === undefined) continue;
    // 0:N is no block device, but btrfs has such numbers for real disks.
    if (number.startsWith("0:") && !source.startsWith("/dev/")) continue;
    if (!found.has(number)) found.set(number, { number, path: unescapeOctal(path), type, source });
  }
  return [...found.values()];
}

/** The kernel writes space, tab, newline and backslash in paths as `\040` and so on. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Received packets by device from /proc/net/dev. */
export function parseNetDev(text: string, netns: string | null): ReceivedPackets[] {
  return text.split("\n").flatMap((line) => {
    const colon = line.lastIndexOf(":");
    if (colon < 0) return [];
    const packets = Number(
      line
        .slice(colon + 1)
        .trim()
        .split(/ +/)[1] ?? NaN,
    );
    return packets >= 0 ? [{ netns, device: line.slice(0, colon).trim(), packets }] : [];
  });
}

const RECLAIM =
  /^(pgscan_kswapd|pgscan_direct|pgsteal_kswapd|pgsteal_direct|allocstall\w*|compact_stall|kswapd_\w+|pswpin|pswpout|oom_kill)$/;

/** The counters of /proc/vmstat that speak of reclaim. */
export function parseReclaim(text: string): Record<string, number> {
  const counters: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const [name = "", value = ""] = line.split(" ");
    if (RECLAIM.test(name) && /^\d+$/.test(value)) counters[name] = Number(value);
  }
  return counters;
}

/** A disk's number as tracepoints have it (`dev_t` inside the kernel: major << 20 | minor). */
export function formatDeviceNumber(dev: number): string {
  return `${Math.floor(dev / 2 ** 20)}:${dev % 2 ** 20}`;
}

/** Name of the device of a mount: what /sys/dev/block says, else the last part of the source. */
export function nameDisk(
  mount: { number: string; path: string; type: string; source: string },
  sysName: string | null,
): MountedDisk {
  const device = sysName ?? mount.source.slice(mount.source.lastIndexOf("/") + 1);
  return { number: mount.number, device, path: mount.path, type: mount.type };
}
