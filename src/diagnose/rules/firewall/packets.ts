import type { FirewallFamily } from "../../../evidence/net/types.ts";
import { countDrops } from "../../amounts.ts";
import type { DropFact } from "../../facts.ts";
import { makeSubject, type Subject } from "./match/condition.ts";
import { chainFamilies, isFromBridge, isNftSite, packetFamily, type PacketFamily } from "./netfilter-drop.ts";

/** Drops that all rules see alike: flows that differ in the client's port only. `drop` stands for all of them. */
export interface Packets extends Subject {
  readonly drops: readonly DropFact[];
  readonly count: number;
  readonly family: PacketFamily | null;
  /** Families of the chains on their sampled stacks; null where no stack tells. */
  readonly chains: ReadonlySet<FirewallFamily> | null;
  readonly isBridged: boolean;
  readonly isNft: boolean;
}

/** Ports below this belong to services: a rule may ask for one as the source (`udp sport 53`). */
const FIRST_CLIENT_PORT = 1024;

export function groupPackets(drops: readonly DropFact[]): Packets[] {
  const groups = Map.groupBy(drops, (drop) =>
    JSON.stringify([
      drop.netns,
      drop.hook,
      drop.location,
      drop.dev,
      drop.proto,
      drop.source,
      drop.destination,
      drop.destinationPort,
      (drop.sourcePort ?? FIRST_CLIENT_PORT) < FIRST_CLIENT_PORT ? drop.sourcePort : null,
    ]),
  );
  return [...groups.values()].flatMap((members) => {
    const [drop] = members;
    if (drop === undefined) return [];
    return [
      {
        ...makeSubject(drop),
        drops: members,
        count: countDrops(members),
        family: packetFamily(drop),
        chains: chainFamilies(drop),
        isBridged: isFromBridge(drop),
        isNft: isNftSite(drop),
      },
    ];
  });
}
