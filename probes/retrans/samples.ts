import { readFrames } from "../../src/reduce/stacks.ts";
import { readWords } from "../../src/reduce/words.ts";
import { unpackFlow, unpackReset, unpackRetransmit, unpackSocket } from "./flow.ts";
import type { Flow, ResetWhat, RetransmitWhat, SocketFacts } from "./flow.ts";

/** A sampled stack of a retransmit (`S`) or a reset (`T`). */
export interface Sample {
  readonly flow: Flow;
  readonly what: { readonly retransmit: RetransmitWhat } | { readonly reset: ResetWhat };
  /** Inode of the socket; 0: none. */
  readonly socket: number;
  /** Process that held the socket's lock; 0: none. */
  readonly pid: number;
  /** Of a reset: what an `O` record will call the connection. 0 for others. */
  readonly number: bigint;
  /** Root first. */
  readonly frames: readonly string[];
}

/** Reads `S\twhat\tplace\ts0\ts1\td0\td1\tinode\tpid\tstack`, or `T` with a number after the pid; null when the text is not one. */
export function parseSample(text: string): Sample | null {
  const parts = text.split("\t");
  // The first recordings have neither pid nor number: the stack follows the inode.
  const isFirst = !/^\d+$/.test(parts[8] ?? "");
  const head = isFirst ? 7 : parts[0] === "S" ? 8 : 9;
  const words = readWords(parts.slice(1, head + 1).join(","), head);
  if (words === null || parts.length < head + 2) return null;
  const [what = 0n, place = 0n, s0 = 0n, s1 = 0n, d0 = 0n, d1 = 0n, inode = 0n, pid = 0n, number = 0n] =
    words;
  const packed = Number(what);
  return {
    flow: unpackFlow([place, s0, s1, d0, d1]),
    socket: Number(inode),
    pid: Number(pid),
    number,
    what: parts[0] === "S" ? { retransmit: unpackRetransmit(packed) } : { reset: unpackReset(packed) },
    frames: readFrames(parts.slice(head + 1).join("\t")),
  };
}

/** One record of `--events`: a retransmit or a reset. */
export type Event = {
  /** Kernel clock, seconds since boot. */
  readonly seconds: number;
  readonly flow: Flow;
  /** Process that held the socket's lock; 0: none. */
  readonly pid: number;
} & (
  | {
      readonly type: "retransmit";
      readonly what: RetransmitWhat;
      readonly segments: number;
      readonly socket: SocketFacts;
      /** 0, negative as the kernel returns it, or 1 for a full queue. */
      readonly error: number;
    }
  | { readonly type: "reset"; readonly what: ResetWhat; readonly inode: number }
);

/** Reads an `E` or `X` record of retrans.bt; null when the text is none. */
export function parseEvent(text: string): Event | null {
  const [tag, ...parts] = text.split("\t");
  if (tag !== "E" && tag !== "X") return null;
  const words = readWords(parts.join(","), tag === "E" ? 13 : 9);
  if (words === null) return null;
  const [nanoseconds = 0n, what = 0n, place = 0n, s0 = 0n, s1 = 0n, d0 = 0n, d1 = 0n, ...rest] = words;
  const flow = unpackFlow([place, s0, s1, d0, d1]);
  const seconds = Number(nanoseconds / 1000n) / 1e6;
  if (tag === "X")
    return {
      type: "reset",
      seconds,
      flow,
      pid: Number(rest[1] ?? 0n),
      what: unpackReset(Number(what)),
      inode: Number(rest[0] ?? 0n),
    };
  const [segments = 0n, error = 0n, own = 0n, rtt = 0n, win = 0n, pid = 0n] = rest;
  return {
    type: "retransmit",
    seconds,
    flow,
    pid: Number(pid),
    what: unpackRetransmit(Number(what)),
    segments: Number(segments),
    error: Number(error) | 0,
    socket: unpackSocket(own, rtt === 0n ? null : rtt, win === 0n ? null : win),
  };
}
