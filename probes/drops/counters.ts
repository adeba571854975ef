import type { Message } from "../../src/wire/message.ts";
import { createPacketCounters, type PacketCounters } from "../../src/reduce/packet-counters.ts";
import { createFloodCounters } from "./floods.ts";

type MapMessage = Extract<Message, { kind: "map" }>;

/** Maps with keys; the scalars are `@hot_N` and `@flood_N`. */
const KEYED: ReadonlySet<string> = new Set(["@other", "@floods", "@flow4", "@flow6"]);

/** Turns the maps of drops.bt, which only grow, into exact totals and differences. */
export interface DropCounters extends Omit<PacketCounters, "read" | "credit"> {
  /** True when the message was one of our maps. */
  read(message: Message): boolean;
  /** Packets per reason number, exact. */
  readonly totals: ReadonlyMap<number, number>;
  /** Some map has been printed. */
  readonly hasPrint: boolean;
  /**
   * Counts from the first print of each map on: that one comes just before the first snapshot of the host's own counters
   * (src/session/ready.ts), so events and counters cover the same time. What was counted before it is forgotten.
   */
  begin(): void;
}

/** Packets of a reason: counted so far, and what of it `begin()` forgets. */
interface Total {
  count: number;
  base: number;
}

export function createDropCounters(): DropCounters {
  const packets = createPacketCounters({ "@flow4": 4, "@flow6": 6 });
  const counted = new Map<number, Total>();
  const totals = new Map<number, number>();
  /** Per reason, as its own map printed it last. */
  const printed = new Map<number, number>();
  const floods = createFloodCounters(packets, addTotal);
  const seen = new Set<string>();
  let isFirstRound = true;
  let hasBegun = false;
  let malformed = 0;

  function addTotal(reason: number, count: number, isBase: boolean): void {
    const total = counted.get(reason) ?? { count: 0, base: 0 };
    total.count += count;
    if (isBase) total.base = total.count;
    counted.set(reason, total);
    showTotal(reason, total);
  }

  function showTotal(reason: number, { count, base }: Total): void {
    const shown = count - (hasBegun ? base : 0);
    if (shown > 0) totals.set(reason, shown);
  }

  function readTotal(reason: number, value: number, isBase: boolean): void {
    const fresh = value - (printed.get(reason) ?? 0);
    // An unused scalar prints 0; a printed total never goes back.
    if (fresh <= 0) return;
    printed.set(reason, value);
    addTotal(reason, fresh, isBase);
  }

  /** A map of whole numbers, one an entry. Entries that `use` refuses are malformed. */
  function readNumbers(message: MapMessage, use: (key: string | null, value: number) => boolean): true {
    for (const { key, value } of message.entries) {
      const isNumber = typeof value === "number" || typeof value === "bigint";
      if (!isNumber || !use(key, Number(value))) malformed += 1;
    }
    return true;
  }

  return {
    flows: packets.flows,
    totals,
    get malformed() {
      return malformed + packets.malformed;
    },
    read(message) {
      if (message.kind !== "map") return false;
      const { name } = message;
      const [, scalar, number = ""] = /^@(hot|flood)_(\d+)$/.exec(name) ?? [];
      if (scalar === undefined && !KEYED.has(name)) return false;
      // An empty map may not be printed at all: the first one that comes again ends the first round.
      if (seen.has(name)) isFirstRound = false;
      seen.add(name);
      const isBase = isFirstRound && !hasBegun;
      if (scalar === "flood") {
        return readNumbers(message, (_, value) => {
          floods.readCount(Number(number), value, isBase);
          return true;
        });
      }
      if (name === "@floods")
        return readNumbers(message, (key, value) => key !== null && floods.readOwner(key, value, isBase));
      if (scalar === "hot" || name === "@other") {
        return readNumbers(message, (key, value) => {
          const reason = Number(scalar === "hot" ? number : (key ?? NaN));
          if (!Number.isSafeInteger(reason)) return false;
          readTotal(reason, value, isBase);
          return true;
        });
      }
      return packets.read(message, isBase);
    },
    get hasPrint() {
      return seen.size > 0;
    },
    begin() {
      if (hasBegun) return;
      hasBegun = true;
      totals.clear();
      for (const [reason, total] of counted) showTotal(reason, total);
      packets.begin();
    },
    settle: () => packets.settle(),
  };
}
