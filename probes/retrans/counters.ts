import { parseIntegerPart } from "../../src/wire/key.ts";
import type { Message } from "../../src/wire/message.ts";
import { parseKey, unpackReset, unpackRetransmit, unpackSocket } from "./flow.ts";
import type { Flow, Kind, ResetWhat, RetransmitWhat, SocketFacts } from "./flow.ts";

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

export interface RetransTotals {
  events: number;
  segments: number;
  readonly byKind: Record<Kind, number>;
  sent: number;
  received: number;
}

/** Turns the maps of retrans.bt, which only grow, into exact totals and differences. */
export interface RetransCounters {
  /** True when the message was one of our maps. */
  read(message: Message): boolean;
  readonly retransmits: ReadonlyMap<string, RetransmitCount>;
  readonly resets: ReadonlyMap<string, ResetCount>;
  readonly failures: ReadonlyMap<string, FailureCount>;
  /** Exact, with or without room in the tables of flows. */
  readonly totals: RetransTotals;
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
    "@own": new Map<string, number | bigint>(),
    "@rtt": new Map<string, number | bigint>(),
    "@win": new Map<string, number | bigint>(),
  };
  /** Flow ids by their key as it is printed. */
  const ids = new Map<string, string>();
  /** The last inode of a flow's socket that somebody held. */
  const inodes = new Map<string, number>();
  const totals: RetransTotals = {
    events: 0,
    segments: 0,
    byKind: { rto: 0, fast: 0, tlp: 0, syn: 0, synack: 0, other: 0 },
    sent: 0,
    received: 0,
  };
  let malformed = 0;

  function addTotal(key: string, value: bigint): boolean {
    const number = parseIntegerPart(key);
    if (number === null) return false;
    const { kind } = unpackRetransmit(Number(number));
    const delta = BigInt.asUintN(64, value - (sums.get(key) ?? 0n));
    sums.set(key, value);
    const segments = Number(delta & SEGMENT_MASK);
    totals.events += Number(delta >> EVENT_SHIFT);
    totals.segments += segments;
    totals.byKind[kind] += segments;
    return true;
  }

  function addSegments(key: string, value: bigint): boolean {
    let row = retransmits.get(key);
    if (row === undefined) {
      const parsed = parseKey(key);
      if (parsed === null) return false;
      const { what, flow } = parsed;
      row = { ...unpackRetransmit(what), flow, events: 0, segments: 0, freshEvents: 0, freshSegments: 0 };
      retransmits.set(key, row);
    }
    const before = sums.get(key) ?? 0n;
    if (before === value) return true;
    const delta = BigInt.asUintN(64, value - before);
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

  /** Most flows do not change from one print to the next: what was printed is kept as it is, and unpacked when asked for. */
  function addFact(map: keyof typeof facts, key: string, value: number | bigint): boolean {
    let id = ids.get(key);
    if (id === undefined) {
      const words = key.split(",").map(parseIntegerPart);
      if (words.includes(null)) return false;
      id = words.map((word) => BigInt.asUintN(64, BigInt(word ?? 0))).join(",");
      ids.set(key, id);
    }
    if (facts[map].get(id) === value) return true;
    facts[map].set(id, value);
    if (map !== "@own") return true;
    const inode = Number(BigInt(value) & 0xffff_ffffn);
    if (inode !== 0) inodes.set(id, inode);
    return true;
  }

  function addEntry(map: string, key: string, value: number | bigint): boolean {
    switch (map) {
      case "@total":
        return addTotal(key, BigInt.asUintN(64, BigInt(value)));
      case "@resets":
        if (key === "1") totals.sent = Math.max(totals.sent, Number(value));
        else if (key === "2") totals.received = Math.max(totals.received, Number(value));
        return key === "1" || key === "2";
      case "@seg":
        return addSegments(key, BigInt.asUintN(64, BigInt(value)));
      case "@rst":
        return addReset(key, Number(value));
      case "@failed":
      case "@unsent":
        return addFailure(key, Number(value), map === "@failed");
      case "@own":
      case "@rtt":
      case "@win":
        return addFact(map, key, value);
      default:
        return true;
    }
  }

  return {
    retransmits,
    resets,
    failures,
    totals,
    get malformed() {
      return malformed;
    },
    socket(flow) {
      const word = (map: keyof typeof facts) => {
        const value = facts[map].get(flow.id);
        return value === undefined ? null : BigInt.asUintN(64, BigInt(value));
      };
      const own = word("@own");
      if (own === null) return null;
      const socket = unpackSocket(own, word("@rtt"), word("@win"));
      // Whose it was, once nobody has it any more.
      return socket.inode === 0 ? { ...socket, inode: inodes.get(flow.id) ?? 0 } : socket;
    },
    read(message) {
      if (
        message.kind !== "map" ||
        !/^@(?:total|resets|seg|rst|failed|unsent|own|rtt|win)$/.test(message.name)
      )
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
