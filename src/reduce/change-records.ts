import type { CounterDelta, NetDelta } from "../evidence/net/types.ts";

/** The summary's `counters`: what moved, per namespace. */
export function counterRecords(networks: readonly NetDelta[]): CounterDelta[] {
  return networks.flatMap(({ counters }) =>
    counters.map(({ netns: { inode, name: netnsName }, name, before, after, delta }) => ({
      netns: { inode, name: netnsName },
      name,
      before,
      after,
      delta,
    })),
  );
}
