import { splitLines, toTable, type Parsed } from "./values.ts";

const ROOT = "/proc/sys/";

/**
 * Lines `PATH:VALUE` of `grep -H '' /proc/sys/net/…`. The key is the dotted name; a dot in a device name becomes `/`,
 * as sysctl(8) has it: `net.ipv4.conf.eth0/7.rp_filter`. Fields of a value are joined by one blank.
 */
export function parseSysctls(text: string): Parsed<{ readonly [name: string]: string }> {
  const entries: [string, string][] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    const colon = line.indexOf(":");
    if (colon < 0 || !line.startsWith(ROOT)) {
      unread += 1;
      continue;
    }
    const key = line
      .slice(ROOT.length, colon)
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
