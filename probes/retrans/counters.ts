import { parseIntegerPart } from "../../src/wire/key.ts";
import type { Message } from "../../src/wire/message.ts";
import { parseKey, unpackReset, unpackRetransmit, unpackSocket } from "./flow.ts";
import type { Flow, ResetWhat, RetransmitWhat, SocketFacts } from "./flow.ts";

export interface RetransmitCount extends RetransmitWhat {
  readonly flow: Flow;
  events: number;
  segments: number;
  /** Of these, what came since the last `settle()`. */
  freshEvents: number;
  freshSegments: number;
}

export interface ResetCount extends ResetWhat {
  readonly flow: Flow;
  count: number;
  fresh: number;
}

/** Attempts to send that did not leave this host. `error` as errno(3) numbers it, 0 < 4096; 1 is also a full queue. */
export interface FailureCount {
  readonly flow: Flow;
  /** Negative as the kernel returns it, or 1 (NET_XMIT_DROP: the queue of the device refused it). */
  readonly error: number;
  /** Whether TCP counts the segment as sent again. */
  readonly isCounted: boolean;
  count: number;
}

/** Turns the maps of retrans.bt, which only grow, into exact totals and differences. */
export interface RetransCounters {
  /** True when the message was one of our maps. */
  read(message: Message): boolean;
  readonly retransmits: ReadonlyMap<string, RetransmitCount>;
  readonly resets: ReadonlyMap<string, ResetCount>;
  readonly failures: ReadonlyMap<string, FailureCount>;
  /** Latest facts of a flow's socket, by flow id. */
  socket(flow: Flow): SocketFacts | null;
  readonly malformed: number;
  settle(): void;
}

const EVENT_SHIFT = 40n;
const SEGMENT_MASK = (1n << EVENT_SHIFT) - 1n;

export function createRetransCounters(): RetransCounters {
  const retransmits = new Map<string, RetransmitCount>();
  const sums = new Map<string, bigint>();
  const resets = new Map<string, ResetCount>();
  const failures = new Map<string, FailureCount>();
  const facts = {
    "@own": new Map<string, bigint>(),
    "@rtt": new Map<string, bigint>(),
    "@win": new Map<string, bigint>(),
  };
  let malformed = 0;

  function addSegments(key: string, value: bigint): boolean {
    let row = retransmits.get(key);
    if (row === undefined) {
      const parsed = parseKey(key);
      if (parsed === null) return false;
      const { what, flow } = parsed;
      row = { ...unpackRetransmit(what), flow, events: 0, segments: 0, freshEvents: 0, freshSegments: 0 };
      retransmits.set(key, row);
    }
    const delta = BigInt.asUintN(64, value - (sums.get(key) ?? 0n));
    sums.set(key, value);
    const events = Number(delta >> EVENT_SHIFT);
    const segments = Number(delta & SEGMENT_MASK);
    row.events += events;
    row.segments += segments;
    row.freshEvents += events;
    row.freshSegments += segments;
    return true;
  }

  function addReset(key: string, value: number): boolean {
    let row = resets.get(key);
    if (row === undefined) {
      const parsed = parseKey(key);
      if (parsed === null) return false;
      resets.set(key, (row = { ...unpackReset(parsed.what), flow: parsed.flow, count: 0, fresh: 0 }));
    }
    row.fresh += Math.max(0, value - row.count);
    row.count = Math.max(row.count, value);
    return true;
  }

  function addFailure(key: string, value: number, isCounted: boolean): boolean {
    const parsed = parseKey(key);
    if (parsed === null) return false;
    const id = `${isCounted} ${key}`;
    failures.set(id, { flow: parsed.flow, error: parsed.what | 0, isCounted, count: value });
    return true;
  }

  function addEntry(map: string, key: string, value: number | bigint): boolean {
    switch (map) {
      case "@seg":
        return addSegments(key, BigInt.asUintN(64, BigInt(value)));
      case "@rst":
        return addReset(key, Number(value));
      case "@failed":
      case "@unsent":
        return addFailure(key, Number(value), map === "@failed");
      case "@own":
      case "@rtt":
      case "@win": {
        const words = key.split(",").map((part) => parseIntegerPart(part));
        if (words.includes(null)) return false;
        const id = words.map((word) => BigInt.asUintN(64, BigInt(word ?? 0))).join(",");
        facts[map].set(id, BigInt.asUintN(64, BigInt(value)));
        return true;
      }
      default:
        return true;
    }
  }

  return {
    retransmits,
    resets,
    failures,
    get malformed() {
      return malformed;
    },
    socket(flow) {
      const own = facts["@own"].get(flow.id);
      return own === undefined
        ? null
        : unpackSocket(own, facts["@rtt"].get(flow.id) ?? null, facts["@win"].get(flow.id) ?? null);
    },
    read(message) {
      if (message.kind !== "map" || !/^@(?:seg|rst|failed|unsent|own|rtt|win)$/.test(message.name))
        return false;
      for (const { key, value } of message.entries) {
        const isNumber = typeof value === "number" || typeof value === "bigint";
        // A map without entries prints as a scalar 0 in some versions.
        if (key === null) continue;
        if (!isNumber || !addEntry(message.name, key, value)) malformed += 1;
      }
      return true;
    },
    settle() {
      for (const row of retransmits.values()) {
        row.freshEvents = 0;
        row.freshSegments = 0;
      }
      for (const row of resets.values()) row.fresh = 0;
    },
  };
}
