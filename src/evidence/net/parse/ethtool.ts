import type { RingSize } from "../types.ts";
import { parseCount, splitLines, toTable, type Parsed } from "./values.ts";

/** Words in driver statistics that mean a packet did not get through. Drivers name them freely. */
const LOSS =
  /drop|discard|err|miss|fifo|overrun|overflow|over_|no_?buf|no_?dma|no_?desc|out_of|full|empty|exceed|crc|bad|timeout|time_out|fail|lost|collision|abort|jabber|undersize|oversize/i;
/**
 * Words beside those above that mean ordinary work, by the drivers' sources: page pools (`rx_pp_recycle_ring_full`), page caches of
 * mlx5 (`rx_cache_full`), a table of flows that does not know one (`fdir_miss` of ixgbe), a packet that is sent once more
 * (`recover`), flow control (`rx_pause`, `tx_pause_storm_warning_events`), a queue that waits (`tx_queue_stopped`).
 */
const NO_LOSS = /_pp_|cache_|fdir_\w*miss|fdir_overflow|recover|pause|aborted_lro|no_lro|missed_tx_intr/i;

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
    else if (LOSS.test(name) && !NO_LOSS.test(name)) entries.push([name, value]);
  }
  return { value: toTable(entries), unread };
}

/** `ethtool -g DEV`: two lists, what the hardware can and what is set; `n/a` or no line where it has no such ring. */
export function parseRings(text: string): Parsed<RingSize | null> {
  const [most = "", now = ""] = text.split(/^Current hardware settings:$/m);
  const read = (list: string, name: string): number | null =>
    parseCount(new RegExp(`^${name}:\\s*(\\d+)$`, "m").exec(list)?.[1] ?? "");
  const value = {
    rx: read(now, "RX"),
    rxMost: read(most, "RX"),
    tx: read(now, "TX"),
    txMost: read(most, "TX"),
  };
  return value.rx === null && value.tx === null ? { value: null, unread: 1 } : { value, unread: 0 };
}
