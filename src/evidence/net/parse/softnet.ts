import type { SoftnetCpu } from "../types.ts";
import { parseHex, splitLines, splitWords, type Parsed } from "./values.ts";

/**
 * `/proc/net/softnet_stat`, a line a CPU, hexadecimal (net/core/net-procfs.c: softnet_seq_show). Columns came over
 * time: 9 at first, received_rps 2.6.36, flow_limit_count 3.11, backlog and CPU number 5.10, the two queues 6.5.
 */
export function parseSoftnet(text: string): Parsed<SoftnetCpu[]> {
  const cpus: SoftnetCpu[] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    const columns = splitWords(line).map(parseHex);
    const [processed, dropped, timeSqueeze] = columns;
    const broken = columns.length < 9 || columns.includes(null);
    if (broken || processed == null || dropped == null || timeSqueeze == null) {
      unread += 1;
      continue;
    }
    cpus.push({
      cpu: columns[12] ?? null,
      processed,
      dropped,
      timeSqueeze,
      receivedRps: columns[9] ?? null,
      flowLimit: columns[10] ?? null,
      backlog: columns[11] ?? null,
    });
  }
  return { value: cpus, unread };
}
