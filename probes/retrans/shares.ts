import { counterDelta } from "../../src/diagnose/facts.ts";
import type { NetDelta } from "../../src/evidence/net/types.ts";
import type { RetransmitRow } from "./rows.ts";

/** What a namespace sent again as a part of all that it sent, by the kernel's own counters. */
export interface Share {
  readonly netns: { readonly inode: number; readonly name: string | null };
  /** All segments with those sent again: TcpOutSegs does not count them (net/ipv4/tcp_output.c, __tcp_transmit_skb). */
  readonly sentSegments: number;
  /** TcpRetransSegs. */
  readonly retransSegs: number;
  /** 0–1; null when nothing was sent. */
  readonly share: number | null;
  /** Of these, in this report's rows; null where segments have no namespace (no kernel types). */
  readonly traced: number | null;
  /** TcpExtTCPRetransFail: counted as sent again, and refused on the way out of this host. Before Linux 6.17 they have no event. */
  readonly refused: number;
}

/** Namespaces that sent something again, most first. `wanted`: the only one that was asked for. */
export function listShares(
  rows: readonly RetransmitRow[],
  networks: readonly NetDelta[],
  { hasTypes, wanted }: { readonly hasTypes: boolean; readonly wanted: number | null },
): Share[] {
  return networks
    .filter(({ netns }) => wanted === null || netns.inode === wanted)
    .map((network): Share => {
      const retransSegs = counterDelta(network, "TcpRetransSegs");
      const sentSegments = counterDelta(network, "TcpOutSegs") + retransSegs;
      const traced = rows
        .filter((row) => row.netns?.inode === network.netns.inode)
        .reduce((sum, row) => sum + row.segments, 0);
      return {
        netns: { inode: network.netns.inode, name: network.netns.name },
        sentSegments,
        retransSegs,
        share: sentSegments === 0 ? null : retransSegs / sentSegments,
        traced: hasTypes ? traced : null,
        refused: counterDelta(network, "TcpExtTCPRetransFail"),
      };
    })
    .filter(({ retransSegs, traced }) => retransSegs > 0 || (traced ?? 0) > 0)
    .sort((a, b) => b.retransSegs - a.retransSegs);
}
