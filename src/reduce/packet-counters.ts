import type { Message } from "../wire/message.ts";
import { parseFlowKey, type FlowKey } from "./packet-flow.ts";

/** Packets stand above the bytes in one 64-bit sum: see drops.bt. */
const PACKET_SHIFT = 38n;
const BYTE_MASK = (1n << PACKET_SHIFT) - 1n;

export interface FlowCount {
  readonly key: FlowKey;
  count: number;
  bytes: number;
  /** Of these, what came since the last `settle()`. */
  freshCount: number;
  freshBytes: number;
}

interface Tracked extends FlowCount {
  /** Of these, what `begin()` forgets. */
  baseCount: number;
  baseBytes: number;
  /** The sum as bpftrace printed it last, for a quick "unchanged". */
  printed: number | bigint;
  sum: bigint;
}

const UNPRINTED = { baseCount: 0, baseBytes: 0, printed: 0, sum: 0n };

/** Turns maps of packed flows, which only grow, into exact totals and differences. */
export interface PacketCounters {
  /** True when the message was one of our maps. `isBase`: what it holds is what `begin()` forgets. */
  read(message: Message, isBase?: boolean): boolean;
  /** Adds packets and bytes that were counted elsewhere to the flow with this key. False: the key cannot be read. */
  credit(key: string, family: 4 | 6, count: number, bytes: number, isBase: boolean): boolean;
  readonly flows: Iterable<FlowCount>;
  /** Map entries that could not be read. */
  readonly malformed: number;
  /** Forgets what is fresh. */
  settle(): void;
  /** Forgets what the tables held when they were read as the base. */
  begin(): void;
}

/** `maps`: names with their `@`, and whether their keys are of IPv4 (4 words) or IPv6 (7). */
export function createPacketCounters(maps: Readonly<Record<string, 4 | 6>>): PacketCounters {
  const flows = new Map<string, Tracked>();
  let malformed = 0;

  function findFlow(text: string, family: 4 | 6): Tracked | null {
    const id = `${family}:${text}`;
    const known = flows.get(id);
    if (known !== undefined) return known;
    const key = parseFlowKey(text, family);
    if (key === null) {
      malformed += 1;
      return null;
    }
    const flow = { key, count: 0, bytes: 0, freshCount: 0, freshBytes: 0, ...UNPRINTED };
    flows.set(id, flow);
    return flow;
  }

  function add(flow: Tracked, count: number, bytes: number, isBase: boolean): void {
    flow.count += count;
    flow.bytes += bytes;
    flow.freshCount += count;
    flow.freshBytes += bytes;
    if (isBase) {
      flow.baseCount = flow.count;
      flow.baseBytes = flow.bytes;
    }
  }

  function readFlow(text: string, family: 4 | 6, value: number | bigint, isBase: boolean): void {
    const flow = findFlow(text, family);
    if (flow === null || flow.printed === value) return;
    const sum = BigInt.asUintN(64, BigInt(value));
    // Modulo 2^64: the upper half wraps after 67 million packets, long after the next print.
    const delta = BigInt.asUintN(64, sum - flow.sum);
    flow.printed = value;
    flow.sum = sum;
    add(flow, Number(delta >> PACKET_SHIFT), Number(delta & BYTE_MASK), isBase);
  }

  return {
    flows: { [Symbol.iterator]: () => flows.values() },
    get malformed() {
      return malformed;
    },
    read(message, isBase = false) {
      if (message.kind !== "map") return false;
      const family = maps[message.name];
      if (family === undefined) return false;
      for (const { key, value } of message.entries) {
        if (key === null || (typeof value !== "number" && typeof value !== "bigint")) malformed += 1;
        else readFlow(key, family, value, isBase);
      }
      return true;
    },
    credit(key, family, count, bytes, isBase) {
      const flow = findFlow(key, family);
      if (flow !== null) add(flow, count, bytes, isBase);
      return flow !== null;
    },
    begin() {
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
