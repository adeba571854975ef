import { parseCount, splitLines, toTable, type Parsed } from "./values.ts";

/** Words in driver statistics that mean a packet did not get through. Drivers name them freely. */
const LOSS =
  /drop|discard|err|miss|fifo|overrun|overflow|over_|no_?buf|out_of|full|crc|bad|timeout|time_out|fail|lost|collision|abort|pause|alloc|jabber|undersize|oversize|nobuf/i;

/** The loss-like lines of `ethtool -S DEV`: `     rx_missed_errors: 5`. Other lines are no concern of ours. */
export function parseDriverStats(text: string): Parsed<{ readonly [name: string]: number }> {
  const entries: [string, number][] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    const colon = line.lastIndexOf(":");
    const name = line.slice(0, colon).trim();
    const rest = line.slice(colon + 1).trim();
    // Headings: "NIC statistics:", "Queue[0]:".
    if (rest === "" && colon >= 0) continue;
    const value = parseCount(rest);
    if (colon < 1 || value === null) unread += 1;
    else if (LOSS.test(name)) entries.push([name, value]);
  }
  return { value: toTable(entries), unread };
}
