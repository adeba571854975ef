import { parseKmsgRecord } from "./kmsg.ts";

/**
 * What the kernel logs when it refuses or loses packets (printk of nf_conntrack_core.c, nfnetlink_queue.c, neighbour.c, tcp.c,
 * tcp_input.c, tcp_minisocks.c, af_inet.c, route.c, ip_fragment.c, udp.c, sch_generic.c, page_alloc.c, br_stp.c, bond_main.c, drivers). Also for
 * raw records of /dev/kmsg, so nothing is anchored.
 */
export const NETWORK_LOG = new RegExp(
  [
    "nf_conntrack: (?:.*: )?table full",
    "nf_conntrack_expect: expectation table full",
    "nf_queue: full at \\d+ entries",
    "neighbou?r table overflow",
    "TCP: out of memory",
    "too many (?:of )?orphaned sockets",
    "time wait bucket table overflow",
    "[Pp]ossible SYN flooding on port",
    "drop open request from",
    "martian (?:source|destination)",
    "(?:dst|[Rr]oute) cache (?:overflow|is full)",
    "UDP(?:v6)?: (?:short|bad checksum)",
    "NETDEV WATCHDOG",
    "transmit queue \\d+ timed out",
    "[Ll]ink is (?:not ready|[Dd]own|[Uu]p)",
    "link status definitely down",
    "entered disabled state",
    "page allocation failure.*GFP_ATOMIC",
  ].join("|"),
);

/** The text of a record of /dev/kmsg that the kernel wrote about lost packets, its first line; null for every other. The text is hostile data. */
export function readNetworkRecord(
  record: string,
): { readonly text: string; readonly seconds: number } | null {
  const parsed = parseKmsgRecord(record);
  // Programs can write into the ring buffer too: only facility 0 is the kernel's own word.
  if (parsed === null || parsed.facility !== 0 || !NETWORK_LOG.test(parsed.text)) return null;
  return { text: parsed.text.split("\n", 1)[0] ?? "", seconds: parsed.monotonic ?? 0 };
}

/** A flood is one line a second at most (net_ratelimit), so this is minutes of it; the first lines tell as much as all. */
const MAX_LINES = 500;
const MAX_EARLIER = 50;

/** What the kernel log says of lost packets, as facts of `Follow` bring it. */
export interface NetworkLog {
  read(key: string, value: unknown): void;
  /** Of the run, oldest first. */
  readonly lines: readonly string[];
  /** Of the time before, oldest first, with the time stamp that `dmesg` shows; the last ones. */
  readonly earlier: readonly string[];
  /** Why the log cannot be read; null where it can. */
  readonly error: string | null;
}

export function createNetworkLog(): NetworkLog {
  const lines: string[] = [];
  let earlier: string[] = [];
  let error: string | null = null;
  const records = (value: unknown) =>
    (Array.isArray(value) ? (value as readonly unknown[]) : []).flatMap((record) => {
      const found = typeof record === "string" ? readNetworkRecord(record) : null;
      return found === null ? [] : [found];
    });
  return {
    read(key, value) {
      if (key === "past") {
        const told = records(value).map(({ text, seconds }) => `[${seconds.toFixed(6)}] ${text}`);
        earlier = told.slice(-MAX_EARLIER);
      } else if (key === "lines") {
        for (const { text } of records(value)) if (lines.length < MAX_LINES) lines.push(text);
      } else if (key === "error") error = typeof value === "string" ? value : "unknown";
    },
    get lines() {
      return lines;
    },
    get earlier() {
      return earlier;
    },
    get error() {
      return error;
    },
  };
}
