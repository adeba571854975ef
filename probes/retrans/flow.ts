import { formatIpv6, swap16 } from "../../src/reduce/address.ts";
import { readWords } from "../../src/reduce/words.ts";

/** What made the kernel send again. */
export type Kind = "rto" | "fast" | "tlp" | "syn" | "synack" | "other";
/** By their number in retrans.bt. */
const KINDS: readonly Kind[] = ["other", "rto", "fast", "tlp", "syn", "synack"];

/** include/net/tcp_states.h; the names of `ss` and of `trace explain`. */
const STATES = [
  null,
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  // NEW_SYN_RECV: a request without a socket of its own; people know it as SYN_RECV.
  "SYN_RECV",
] as const;
export type TcpState = Exclude<(typeof STATES)[number], null>;

/** A connection as this host sees it: its own end is the source. */
export interface Flow {
  /** The words of the kernel's key: the same connection in the same namespace has the same. */
  readonly id: string;
  /** Inode; 0: unknown. */
  readonly netns: number;
  readonly source: string | null;
  readonly sourcePort: number | null;
  readonly destination: string | null;
  readonly destinationPort: number | null;
}

/** `place, source, destination` as retrans.bt packs them. */
export function unpackFlow(words: readonly bigint[]): Flow {
  const [place = 0n, s0 = 0n, s1 = 0n, d0 = 0n, d1 = 0n] = words;
  const ports = Number(place >> 32n);
  const isKnown = (s0 | s1 | d0 | d1) !== 0n;
  return {
    id: words.join(","),
    netns: Number(place & 0xffff_ffffn),
    source: isKnown ? formatIpv6(s0, s1) : null,
    sourcePort: isKnown ? swap16(ports & 0xffff) : null,
    destination: isKnown ? formatIpv6(d0, d1) : null,
    destinationPort: isKnown ? swap16(ports >>> 16) : null,
  };
}

/** What precedes a flow in a key, and the flow. Null when the text is no such key. */
export function parseKey(key: string): { what: number; flow: Flow } | null {
  const words = readWords(key, 6);
  if (words === null) return null;
  const [what = 0n, ...flow] = words;
  return { what: Number(what), flow: unpackFlow(flow) };
}

export interface RetransmitWhat {
  readonly kind: Kind;
  readonly state: TcpState | null;
}

export function unpackRetransmit(what: number): RetransmitWhat {
  return { kind: KINDS[what & 0xff] ?? "other", state: stateName((what >>> 8) & 0xff) };
}

export interface ResetWhat {
  readonly direction: "sent" | "received";
  /** As the kernel numbers it; null where it gives none. */
  readonly reason: number | null;
  readonly state: TcpState | null;
}

export function unpackReset(what: number): ResetWhat {
  const reason = what & 0xffff;
  return {
    direction: ((what >>> 16) & 0xff) === 2 ? "received" : "sent",
    reason: reason === 0 ? null : reason - 1,
    state: stateName((what >>> 24) & 0xff),
  };
}

function stateName(number: number): TcpState | null {
  return STATES[number] ?? null;
}

/** What is known of a flow's socket when it last sent again. */
export interface SocketFacts {
  /** 0: nobody's any more. */
  readonly inode: number;
  /** Retransmission timeout in jiffies, to two of them; null where it was not read. */
  readonly rto: number | null;
  /** Timeouts in a row. */
  readonly timeouts: number;
  readonly congestion: string | null;
  /** Smoothed round trip; null before the first measurement. */
  readonly rttMs: number | null;
  readonly cwnd: number | null;
  /** Null: not reached yet. */
  readonly ssthresh: number | null;
  readonly inFlight: number | null;
}

/** include/net/tcp.h, enum tcp_ca_state; names as `ss` and the kernel's documentation have them. */
const CONGESTION = ["Open", "Disorder", "CWR", "Recovery", "Loss"];
/** TCP_INFINITE_SSTHRESH in include/net/tcp.h. */
const NO_THRESHOLD = 0x7fff_ffff;

/** The values of `@own`, `@rtt` and `@win`. A SYN-ACK has only the first: then the others are null. */
export function unpackSocket(own: bigint, rtt: bigint | null, win: bigint | null): SocketFacts {
  const low = (word: bigint) => Number(word & 0xffff_ffffn);
  const high = (word: bigint) => Number(word >> 32n);
  const threshold = win === null ? NO_THRESHOLD : low(win);
  return {
    inode: low(own),
    rto: own >> 48n === 0n ? null : 2 * Number(own >> 48n),
    timeouts: Number((own >> 32n) & 0xffn),
    congestion: rtt === null ? null : (CONGESTION[Number((own >> 40n) & 0xffn)] ?? null),
    rttMs: rtt === null || low(rtt) === 0 ? null : low(rtt) / 1000,
    cwnd: rtt === null || high(rtt) === 0 ? null : high(rtt),
    ssthresh: threshold >= NO_THRESHOLD ? null : threshold,
    inFlight: win === null ? null : high(win),
  };
}
