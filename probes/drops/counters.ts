import type { Message } from "../../src/wire/message.ts";
import { createPacketCounters, type PacketCounters } from "../../src/reduce/packet-counters.ts";

/** Turns the maps of drops.bt, which only grow, into exact totals and differences. */
export interface DropCounters extends Omit<PacketCounters, "read"> {
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

export function createDropCounters(): DropCounters {
  const packets = createPacketCounters({ "@flow4": 4, "@flow6": 6 });
  const totals = new Map<number, number>();
  /** Per reason: as printed last, and what of it was there at the first print. */
  const printed = new Map<number, number>();
  const base = new Map<number, number>();
  const seen = new Set<string>();
  let isFirstRound = true;
  let hasBegun = false;
  let malformed = 0;

  function addTotal(reason: number, value: number): void {
    // An unused scalar prints 0; a printed total never goes back.
    if (value <= 0) return;
    const known = Math.max(printed.get(reason) ?? 0, value);
    printed.set(reason, known);
    if (isFirstRound && !hasBegun) base.set(reason, known);
    const counted = known - (hasBegun ? (base.get(reason) ?? 0) : 0);
    if (counted > 0) totals.set(reason, counted);
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
      const hot = /^@hot_(\d+)$/.exec(name)?.[1];
      const isTotal = hot !== undefined || name === "@other";
      if (!isTotal && name !== "@flow4" && name !== "@flow6") return false;
      // An empty map may not be printed at all: the first one that comes again ends the first round.
      if (seen.has(name)) isFirstRound = false;
      seen.add(name);
      if (!isTotal) return packets.read(message, isFirstRound && !hasBegun);
      for (const { key, value } of message.entries) {
        const reason = Number(hot ?? key ?? NaN);
        const isNumber = typeof value === "number" || typeof value === "bigint";
        if (isNumber && Number.isSafeInteger(reason)) addTotal(reason, Number(value));
        else malformed += 1;
      }
      return true;
    },
    get hasPrint() {
      return seen.size > 0;
    },
    begin() {
      if (hasBegun) return;
      hasBegun = true;
      totals.clear();
      for (const [reason, value] of printed) addTotal(reason, value);
      packets.begin();
    },
    settle: () => packets.settle(),
  };
}
