import { plural } from "../../../text/format.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";

/** One probe can be chance: a reader that was away for a moment. */
const PROBES = 2;

/**
 * Connections that stand still with nothing to send again: the far end's window is closed, and the sender asks now and then whether it has
 * opened (net/ipv4/tcp_output.c, tcp_write_wakeup: TCPWinProbe). Counters know no connection.
 */
export function examineWindows(facts: Facts): Finding[] {
  return facts.networks.flatMap((network): Finding[] => {
    const probes = counterDelta(network, "TcpExtTCPWinProbe");
    if (probes < PROBES) return [];
    const { inode } = network.netns;
    const place = findPlace(facts, inode);
    // A namespace of this machine where windows were closed and not opened again: there is the reader.
    const readers = facts.networks.filter(
      (other) =>
        counterDelta(other, "TcpExtTCPToZeroWindowAdv") > counterDelta(other, "TcpExtTCPFromZeroWindowAdv"),
    );
    return [
      {
        id: "retrans-zero-window",
        severity: "suspicious",
        summary: `Connections of ${tellNetns(facts, inode)} stand still: the receivers' windows are closed, because a program there does not read`,
        count: probes,
        netns: nameNetns(facts, inode),
        evidence: [
          `${plural(probes, "window probe")} sent (TcpExtTCPWinProbe): not repetitions, and no loss`,
          ...readers.map(
            (other) =>
              `windows closed in ${tellNetns(facts, other.netns.inode)} and not opened again: ${plural(counterDelta(other, "TcpExtTCPToZeroWindowAdv") - counterDelta(other, "TcpExtTCPFromZeroWindowAdv"), "time")}`,
          ),
        ],
        check: [
          `${inNetns(place, "ss -tnop state established")} | grep persist   # the connections that wait`,
          ...readers.map((other) =>
            inNetns(
              findPlace(facts, other.netns.inode),
              "ss -tnp state established   # a large Recv-Q: who does not read",
            ),
          ),
        ],
        fix: ["# at the receiver: see what its program waits for instead of reading"],
      },
    ];
  });
}
