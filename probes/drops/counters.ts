import type { Message } from "../../src/wire/message.ts";
import { parseFlowKey, type FlowKey } from "./flow.ts";

/** Packets stand above the bytes in one 64-bit sum: see drops.bt. */
const PACKET_SHIFT = 38n;
const BYTE_MASK = (1n << PACKET_SHIFT) - 1n;

export interface FlowCount {
  readonly key: FlowKey;
  count: number;
  bytes: number;
  /** Of these, what came since the last `takeInterval()`. */
  freshCount: number;
  freshBytes: number;
}

interface Tracked extends FlowCount {
  /** Of these, what was there when the table was printed first. */
  baseCount: number;
  baseBytes: number;
  /** The sum as bpftrace printed it last, for a quick "unchanged". */
  printed: number | bigint;
  sum: bigint;
}

const UNPRINTED = { baseCount: 0, baseBytes: 0, printed: 0, sum: 0n };

/** Turns the maps, which only grow, into exact totals and differences. */
export interface DropCounters {
  /** True when the message was one of our maps. */
  read(message: Message): boolean;
  readonly flows: Iterable<FlowCount>;
  /** Packets per reason number, exact. */
  readonly totals: ReadonlyMap<number, number>;
  /** Map entries that could not be read. */
  readonly malformed: number;
  /** Forgets what is fresh. */
  settle(): void;
  /** Some map has been printed. */
  readonly hasPrint: boolean;
  /**
   * Counts from the first print of each map on: that one comes just before the first snapshot of the host's own counters
   * (src/session/ready.ts), so events and counters cover the same time. What was counted before it is forgotten.
   */
  begin(): void;
}

export function createDropCounters(): DropCounters {
  const flows = new Map<string, Tracked>();
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

  function addFlow(text: string, family: 4 | 6, value: number | bigint): void {
    const id = `${family}:${text}`;
    let flow = flows.get(id);
    if (flow === undefined) {
      const key = parseFlowKey(text, family);
      if (key === null) {
        malformed += 1;
        return;
      }
      flow = { key, count: 0, bytes: 0, freshCount: 0, freshBytes: 0, ...UNPRINTED };
      flows.set(id, flow);
    }
    if (flow.printed === value) return;
    const sum = BigInt.asUintN(64, BigInt(value));
    // Modulo 2^64: the upper half wraps after 67 million packets, long after the next print.
    const delta = BigInt.asUintN(64, sum - flow.sum);
    const count = Number(delta >> PACKET_SHIFT);
    const bytes = Number(delta & BYTE_MASK);
    flow.printed = value;
    flow.sum = sum;
    flow.count += count;
    flow.bytes += bytes;
    flow.freshCount += count;
    flow.freshBytes += bytes;
    if (isFirstRound && !hasBegun) {
      flow.baseCount = flow.count;
      flow.baseBytes = flow.bytes;
    }
  }

  return {
    flows: { [Symbol.iterator]: () => flows.values() },
    totals,
    get malformed() {
      return malformed;
    },
    read(message) {
      if (message.kind !== "map") return false;
      const hot = /^@hot_(\d+)$/.exec(message.name)?.[1];
      const family = message.name === "@flow4" ? 4 : message.name === "@flow6" ? 6 : null;
      if (hot === undefined && family === null && message.name !== "@other") return false;
      // An empty map may not be printed at all: the first one that comes again ends the first round.
      if (seen.has(message.name)) isFirstRound = false;
      seen.add(message.name);
      for (const { key, value } of message.entries) {
        if (typeof value !== "number" && typeof value !== "bigint") malformed += 1;
        else if (family !== null) {
          if (key === null) malformed += 1;
          else addFlow(key, family, value);
        } else {
          const reason = Number(hot ?? key ?? NaN);
          if (!Number.isSafeInteger(reason)) malformed += 1;
          else addTotal(reason, Number(value));
        }
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
      for (const flow of flows.values()) {
        flow.count -= flow.baseCount;
        flow.bytes -= flow.baseBytes;
        flow.freshCount = flow.count;
        flow.freshBytes = flow.bytes;
      }
    },
    settle() {
      for (const flow of flows.values()) {
        flow.freshCount = 0;
        flow.freshBytes = 0;
      }
    },
  };
}
