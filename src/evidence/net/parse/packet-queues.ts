import type { PacketQueue } from "../types.ts";
import { parseCount, splitLines, splitWords, type Parsed } from "./values.ts";

/** `/proc/net/netfilter/nfnetlink_queue` (net/netfilter/nfnetlink_queue.c: seq_show), one bound queue a line. */
export function parsePacketQueues(text: string): Parsed<PacketQueue[]> {
  const queues: PacketQueue[] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    const [queue, portid, waiting, , , dropped, userDropped] = splitWords(line).map(parseCount);
    if (queue == null || portid == null || waiting == null || dropped == null || userDropped == null)
      unread += 1;
    else queues.push({ queue, portid, waiting, dropped, userDropped });
  }
  return { value: queues, unread };
}
