import { plural } from "../text/format.ts";
import type { Facts } from "./facts.ts";
import type { Finding, Severity } from "./finding.ts";
import { nameNetns } from "./where.ts";

interface Kind {
  readonly pattern: RegExp;
  readonly severity: Severity;
  readonly what: string;
  readonly check: readonly string[];
  readonly fix: readonly string[];
}

/** What the kernel only logs when it gives packets or connections up. Links that come and go are evidence of other findings only. */
const KINDS: readonly Kind[] = [
  {
    pattern: /nf_conntrack.*table full/,
    severity: "problem",
    what: "a connection tracking table is full: new connections are dropped",
    check: ["sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max"],
    fix: ["# sysctl -w net.netfilter.nf_conntrack_max=N   # twice what it is now"],
  },
  {
    pattern: /neighbou?r table overflow/,
    severity: "problem",
    what: "the table of neighbours is full: new addresses on the local networks cannot be reached",
    check: [
      "cat /proc/net/stat/arp_cache /proc/net/stat/ndisc_cache",
      "sysctl -a -r 'neigh.default.gc_thresh'",
    ],
    fix: [
      "# sysctl -w net.ipv4.neigh.default.gc_thresh3=N   # four times what it is now, gc_thresh2 half of that",
    ],
  },
  {
    pattern: /TCP: out of memory/,
    severity: "problem",
    what: "TCP used all the memory it may: connections are dropped or slowed down",
    check: ["cat /proc/net/sockstat", "sysctl net.ipv4.tcp_mem"],
    fix: ["# find the sockets that hold it: ss -tanmp; then raise net.ipv4.tcp_mem"],
  },
  {
    pattern: /NETDEV WATCHDOG|transmit queue \d+ timed out/,
    severity: "problem",
    what: "a device did not send for seconds and was reset: what waited in its queue is lost",
    check: ["dmesg | grep -A3 -i -e 'netdev watchdog' -e 'timed out'", "ip -s -s link"],
    fix: [
      "# driver, firmware or hardware of that device: update them, or switch its offloads off (ethtool -K)",
    ],
  },
  {
    pattern: /nf_queue: full at/,
    severity: "problem",
    what: "a queue to a program (NFQUEUE) is full: packets are dropped",
    check: ["cat /proc/net/netfilter/nfnetlink_queue"],
    fix: ["# a longer queue in the program that reads it, or a faster one"],
  },
  {
    pattern: /page allocation failure/,
    severity: "suspicious",
    what: "no memory for packets: a driver or a socket could not get a page at once",
    check: ["dmesg | grep -A30 'page allocation failure' | head -60", "sysctl vm.min_free_kbytes"],
    fix: ["# sysctl -w vm.min_free_kbytes=N   # twice what it is now"],
  },
  {
    pattern: /SYN flooding on port/,
    severity: "suspicious",
    what: "a listener's queue of half-open connections was full: a SYN flood, or a backlog too short for the burst",
    check: ["ss -tan state syn-recv", "nstat -az TcpExtTCPReqQFullDrop TcpExtTCPReqQFullDoCookies"],
    fix: [
      "# real clients: let the service call listen() with a larger backlog, and raise net.ipv4.tcp_max_syn_backlog",
    ],
  },
  {
    pattern: /too many (?:of )?orphaned sockets/,
    severity: "suspicious",
    what: "connections that no program holds any more were cut off: there are too many of them",
    check: ["cat /proc/net/sockstat", "sysctl net.ipv4.tcp_max_orphans"],
    fix: ["# sysctl -w net.ipv4.tcp_max_orphans=N   # twice what it is now (each costs up to 64 KiB)"],
  },
  {
    pattern: /expectation table full/,
    severity: "suspicious",
    what: "connection tracking has no room for expected connections (FTP, SIP): their second connections are refused",
    check: ["sysctl net.netfilter.nf_conntrack_expect_max"],
    fix: ["# sysctl -w net.netfilter.nf_conntrack_expect_max=N   # twice what it is now"],
  },
];

/**
 * What the kernel logged during the run and none of `findings` speaks of: it happened where no event and no counter showed it (a namespace
 * that could not be entered, a device that stopped). Not for a run that looks at some packets only.
 */
export function findLogged(facts: Facts, findings: readonly Finding[]): Finding[] {
  if (facts.isFiltered) return [];
  const told = findings.flatMap(({ evidence }) => evidence.filter((line) => line.startsWith("kernel log: ")));
  return KINDS.flatMap(({ pattern, severity, what, check, fix }): Finding[] => {
    const lines = facts.kernelLog.filter((line) => pattern.test(line));
    const [first] = lines;
    if (first === undefined || told.some((line) => pattern.test(line))) return [];
    const netns = Number(/\bin netns (\d+)/.exec(first)?.[1] ?? Number.NaN);
    return [
      {
        id: "kernel-log",
        severity,
        summary: `The kernel log says that ${what}`,
        count: lines.length,
        netns: Number.isNaN(netns) ? null : nameNetns(facts, netns),
        evidence: [
          `kernel log: ${first}${lines.length > 1 ? ` (${plural(lines.length, "line")}; the kernel leaves most of a flood out)` : ""}`,
          "no drop event and no counter that was read tells of it",
        ],
        check,
        fix,
      },
    ];
  });
}
