import { splitLines, toTable, type Parsed } from "./values.ts";

const ROOT = "/proc/sys/net/";

/**
 * Lines `PATH:VALUE` of `grep -H ''` in /proc/sys/net, the path from there on (older recordings: from the root on). The key
 * is the dotted name; a dot in a device name becomes `/`, as sysctl(8) has it: `net.ipv4.conf.eth0/7.rp_filter`. Fields of a value are joined by one blank.
 */
export function parseSysctls(text: string): Parsed<{ readonly [name: string]: string }> {
  const entries: [string, string][] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    const colon = line.indexOf(":");
    const path = line.startsWith(ROOT) ? line.slice(ROOT.length, colon) : line.slice(0, colon);
    if (colon < 0 || !/^[a-z][a-z0-9]*\//.test(path)) {
      unread += 1;
      continue;
    }
    const key = `net/${path}`
      .split("/")
      .map((part) => part.replaceAll(".", "/"))
      .join(".");
    entries.push([
      key,
      line
        .slice(colon + 1)
        .trim()
        .replaceAll(/\s+/g, " "),
    ]);
  }
  return { value: toTable(entries), unread };
}
