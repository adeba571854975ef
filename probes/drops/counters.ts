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
  /** The sum as bpftrace printed it last, for a quick "unchanged". */
  printed: number | bigint;
  sum: bigint;
}

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
}

export function createDropCounters(): DropCounters {
  const flows = new Map<string, Tracked>();
  const totals = new Map<number, number>();
  let malformed = 0;

  function addFlow(text: string, family: 4 | 6, value: number | bigint): void {
    const id = `${family}:${text}`;
    let flow = flows.get(id);
    if (flow === undefined) {
      const key = parseFlowKey(text, family);
      if (key === null) {
        malformed += 1;
        return;
      }
      flow = { key, count: 0, bytes: 0, freshCount: 0, freshBytes: 0, printed: 0, sum: 0n };
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
      for (const { key, value } of message.entries) {
        if (typeof value !== "number" && typeof value !== "bigint") malformed += 1;
        else if (family !== null) {
          if (key === null) malformed += 1;
          else addFlow(key, family, value);
        } else {
          const reason = Number(hot ?? key ?? NaN);
          if (!Number.isSafeInteger(reason)) malformed += 1;
          // An unused scalar prints 0; a printed total never goes back.
          else if (Number(value) > 0) totals.set(reason, Math.max(totals.get(reason) ?? 0, Number(value)));
        }
      }
      return true;
    },
    settle() {
      for (const flow of flows.values()) {
        flow.freshCount = 0;
        flow.freshBytes = 0;
      }
    },
  };
}
