import type { PacketCounters } from "../../src/reduce/packet-counters.ts";
import { readWords } from "../../src/reduce/words.ts";
import { splitKey } from "../../src/wire/key.ts";

/** `cpu, what, site, place, addresses, length`: see drops.bt. */
const PARTS = 6;

interface Flood {
  /** As printed last. */
  count: number;
  /** Of these, what its flow has been given. */
  credited: number;
  owner: { readonly key: string; readonly length: number; readonly reason: number } | null;
}

/** The scalars that drops.bt counts the packets of one flow and length in, and the map that tells whose they are. */
export interface FloodCounters {
  /** What `@flood_N` held. `isBase` as in `PacketCounters.read`. */
  readCount(number: number, count: number, isBase: boolean): void;
  /** An entry of `@floods`. False when it cannot be read. */
  readOwner(key: string, number: number, isBase: boolean): boolean;
}

/**
 * Credits flows with what their scalars counted. A scalar is printed before the map that names its owner, so that nothing counted is
 * without one for longer than a print. `addTotal`: packets of a reason that flows were given.
 */
export function createFloodCounters(
  packets: Pick<PacketCounters, "credit">,
  addTotal: (reason: number, count: number, isBase: boolean) => void,
): FloodCounters {
  const floods = new Map<number, Flood>();

  function find(number: number): Flood {
    let flood = floods.get(number);
    if (flood === undefined) {
      flood = { count: 0, credited: 0, owner: null };
      floods.set(number, flood);
    }
    return flood;
  }

  function settle(flood: Flood, isBase: boolean): boolean {
    const { owner, count, credited } = flood;
    const fresh = count - credited;
    if (owner === null || fresh <= 0) return true;
    flood.credited = count;
    if (!packets.credit(owner.key, 4, fresh, fresh * owner.length, isBase)) return false;
    addTotal(owner.reason, fresh, isBase);
    return true;
  }

  return {
    readCount(number, count, isBase) {
      const flood = find(number);
      // A printed count never goes back.
      flood.count = Math.max(flood.count, count);
      settle(flood, isBase);
    },
    readOwner(key, number, isBase) {
      const flood = find(number);
      if (flood.owner === null) {
        const words = readWords(key, PARTS);
        const parts = splitKey(key, PARTS);
        if (words === null || parts === null) return false;
        const [, what = 0n, , , , length = 0n] = words;
        flood.owner = {
          // The text that the same flow has as a key of @flow4.
          key: parts.slice(1, -1).join(","),
          length: Number(length),
          reason: Number(what & 0xffff_ffffn),
        };
      }
      return settle(flood, isBase);
    },
  };
}
