import ipaddr from "ipaddr.js";
import { EXIT, TraceError } from "../error.ts";
import { nearest } from "../text/nearest.ts";

/** An address block, as bytes in network order. */
export interface AddressBlock {
  readonly family: 4 | 6;
  readonly bytes: readonly number[];
  readonly prefix: number;
  /** As it was meant, normalised: `10.0.0.0/8`. */
  readonly text: string;
}

/** Parsed values of the shared filters. What needs the host (a namespace's inode, a reason's number) is resolved later. */
export interface FilterValues {
  readonly pid?: number;
  readonly comm?: string;
  readonly cgroup?: string;
  readonly netns?: string;
  readonly dev?: string;
  readonly host?: AddressBlock;
  readonly port?: number;
  readonly proto?: { readonly name: string; readonly number: number };
  readonly reason?: readonly string[];
}

export type FilterName = keyof FilterValues;

interface FilterSpec {
  readonly flags: string;
  readonly description: string;
  parse(text: string, previous: unknown): unknown;
}

/** IP protocol numbers (IANA) an operator filters by; `arp` and the ICMPs are told apart by the probe. */
const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  ospf: 89,
  vrrp: 112,
  sctp: 132,
  udplite: 136,
  arp: -1,
};

function usage(option: string, text: string, why: string, hint: string | null): TraceError {
  return new TraceError(EXIT.usage, `${option}: ${JSON.stringify(text)} is not valid`, { why, hint });
}

/** A whole number within bounds, for options. Throws TraceError (usage). */
export function parseInteger(text: string, option: string, low: number, high: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(value >= low && value <= high))
    throw usage(
      option,
      text,
      `a whole number from ${low} to ${high} is expected`,
      `${option} ${low === 1 && high === 65_535 ? 443 : Math.max(1, low)}`,
    );
  return value;
}

/** `10.0.0.1`, `10.0.0.0/8`, `fe80::/10`; mapped addresses count as IPv4. Throws TraceError (usage). */
export function parseAddressBlock(text: string, option = "--host"): AddressBlock {
  const hint = `${option} 10.0.0.1   ${option} 10.0.0.0/8   ${option} 2001:db8::/32`;
  const [address = "", length, ...rest] = text.trim().split("/");
  const isStrict = ipaddr.IPv6.isValid(address) || ipaddr.IPv4.isValidFourPartDecimal(address);
  if (rest.length > 0 || address.includes("%") || !isStrict) {
    throw usage(option, text, "an IPv4 or IPv6 address, with or without /prefix length, is expected", hint);
  }
  let parsed = ipaddr.parse(address);
  let offset = 0;
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) {
    parsed = parsed.toIPv4Address();
    offset = 96;
  }
  const bits = parsed.kind() === "ipv4" ? 32 : 128;
  const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) - offset : NaN;
  if (!(prefix >= 0 && prefix <= bits)) {
    throw usage(
      option,
      text,
      `the prefix length of this address goes from ${offset} to ${bits + offset}`,
      hint,
    );
  }
  const bytes = parsed
    .toByteArray()
    .map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - index * 8))) & 0xff);
  const network = ipaddr.fromByteArray(bytes).toString();
  return {
    family: bits === 32 ? 4 : 6,
    bytes,
    prefix,
    text: prefix === bits ? network : `${network}/${prefix}`,
  };
}

function parseProtocol(text: string): { name: string; number: number } {
  const name = text.trim().toLowerCase();
  if (/^\d{1,3}$/.test(name)) {
    const number = parseInteger(name, "--proto", 0, 255);
    const known = Object.entries(PROTOCOLS).find((entry) => entry[1] === number);
    return { name: known?.[0] ?? name, number };
  }
  const number = Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
  if (number === undefined || number > 255) {
    const close = nearest(name, Object.keys(PROTOCOLS));
    throw usage(
      "--proto",
      text,
      "no such protocol",
      `--proto ${close[0] ?? "tcp"}   # or ${["udp", "icmp", "icmpv6", "arp"].join(", ")}, or a number from 0 to 255`,
    );
  }
  return { name, number };
}

/** Every shared filter: its flags, its help, its parser. A probe names the ones that make sense for it. */
export const FILTERS: Readonly<Record<FilterName, FilterSpec>> = {
  pid: {
    flags: "-p, --pid <pid>",
    description: "only this process",
    parse: (text) => parseInteger(text, "--pid", 1, 4_194_304),
  },
  comm: {
    flags: "--comm <name>",
    description: "only processes with this name (as in /proc/PID/comm, 15 bytes)",
    parse(text) {
      if (text.length === 0 || Buffer.byteLength(text) > 15) {
        throw usage("--comm", text, "a process name has 1 to 15 bytes in the kernel", "ps -eo comm");
      }
      return text;
    },
  },
  cgroup: {
    flags: "--cgroup <path>",
    description: "only processes in this cgroup (a path under /sys/fs/cgroup)",
    parse(text) {
      if (text.length === 0 || text.includes("\0") || text.split("/").includes("..")) {
        throw usage("--cgroup", text, "a path under /sys/fs/cgroup is expected", "cat /proc/PID/cgroup");
      }
      return text;
    },
  },
  netns: {
    flags: "--netns <name|inode|pid>",
    description: "only this network namespace",
    parse(text) {
      if (text.length === 0 || text.includes("/") || text.includes("\0")) {
        throw usage("--netns", text, "a name, an inode or a pid is expected", "ip netns list; lsns -t net");
      }
      return text;
    },
  },
  dev: {
    flags: "--dev <if>",
    description: "only this network device",
    parse(text) {
      // dev_valid_name() in net/core/dev.c: up to 15 bytes, no slash, colon or white space.
      if (
        text.length === 0 ||
        Buffer.byteLength(text) > 15 ||
        /[\s/:]/.test(text) ||
        text === "." ||
        text === ".."
      ) {
        throw usage(
          "--dev",
          text,
          "a device name has 1 to 15 bytes without slash, colon or white space",
          "ip link",
        );
      }
      return text;
    },
  },
  host: {
    flags: "--host <ip[/n]>",
    description: "only from or to this address or network",
    parse: (text) => parseAddressBlock(text),
  },
  port: {
    flags: "--port <n>",
    description: "only from or to this port",
    parse: (text) => parseInteger(text, "--port", 1, 65_535),
  },
  proto: {
    flags: "--proto <p>",
    description: "only this protocol: tcp, udp, icmp, icmpv6, arp, … or its number",
    parse: parseProtocol,
  },
  reason: {
    flags: "--reason <NAME>",
    description: "only this drop reason; may be repeated or a list with commas",
    parse(text, previous) {
      const names = text.split(",").map((name) =>
        name
          .trim()
          .toUpperCase()
          .replace(/^SKB_DROP_REASON_/, ""),
      );
      if (names.some((name) => !/^[A-Z0-9_]+$/.test(name))) {
        throw usage("--reason", text, "a drop reason is a NAME like NETFILTER_DROP", "trace explain reasons");
      }
      return [...(Array.isArray(previous) ? (previous as string[]) : []), ...names];
    },
  },
};
