import type { CounterDelta, NetDelta } from "../evidence/net/types.ts";
import type { JsonObject } from "../probe/define.ts";

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

/** The summary's `interfaces`: every device with its counters at both ends. */
export function interfaceRecords(networks: readonly NetDelta[]): JsonObject[] {
  return networks.flatMap((network) =>
    network.interfaces.map(({ netns, mtuBefore: _before, details: _details, driver: _driver, ...rest }) => ({
      ...(rest as unknown as JsonObject),
      netns: { inode: netns.inode, name: netns.name },
    })),
  );
}
