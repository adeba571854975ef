import type { Severity } from "../../finding.ts";

/** One kind of refused segments, as data: what it is, from how many on it is worth saying, and what to do. */
export interface SegmentCause {
  readonly id: string;
  readonly reasons: readonly string[];
  /** Counters that move with each. */
  readonly counters: readonly string[];
  /** From this many on (and not too rare, see `isMany`). */
  readonly least: number;
  readonly severity: Severity;
  /** Lost packets elsewhere make these too: not worth a word beside the loss itself. */
  readonly isSymptom?: boolean;
  /** Ends the sentence "N segments from A to port P refused: …". */
  readonly because: string;
  readonly explains: string;
  /** As in the catalogues: `{ns}` stands for what leads into the namespace. */
  readonly check: readonly string[];
  readonly fix: readonly string[];
}

export const CAUSES: readonly SegmentCause[] = [
  {
    id: "tcp-md5",
    reasons: ["TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE"],
    counters: ["TcpExtTCPMD5NotFound", "TcpExtTCPMD5Unexpected", "TcpExtTCPMD5Failure"],
    // A session that cannot come up tries every few seconds: three tries are no accident.
    least: 3,
    severity: "problem",
    because: "their MD5 signature is missing, not expected or wrong (the password of a BGP session)",
    explains:
      "NOTFOUND: this side wants a signature and the peer sends none; UNEXPECTED: the other way round; FAILURE: the passwords differ",
    check: ["{ns}nstat -az TcpExtTCPMD5NotFound TcpExtTCPMD5Unexpected TcpExtTCPMD5Failure", "{ns}ss -tnpo"],
    fix: ["# set the same password for this neighbour on both sides"],
  },
  {
    id: "tcp-ao",
    reasons: ["TCP_AOFAILURE", "TCP_AOKEYNOTFOUND", "TCP_AONOTFOUND", "TCP_AOUNEXPECTED", "TCP_AUTH_HDR"],
    counters: ["TcpExtTCPAORequired", "TcpExtTCPAOBad", "TcpExtTCPAOKeyNotFound"],
    least: 3,
    severity: "problem",
    because: "their TCP-AO authentication is missing, not expected or wrong",
    explains: "both sides need the same keys with the same key ids (RFC 5925)",
    check: ["{ns}nstat -az TcpExtTCPAORequired TcpExtTCPAOBad TcpExtTCPAOKeyNotFound"],
    fix: ["# set the same TCP-AO keys for this neighbour on both sides"],
  },
  {
    id: "tcp-min-ttl",
    reasons: ["TCP_MINTTL"],
    counters: ["TcpExtTCPMinTTLDrop"],
    least: 3,
    severity: "problem",
    because: "their TTL is lower than the program allows (TTL security of a BGP session)",
    explains: "the peer is more hops away than configured, or does not send with TTL 255",
    check: ["{ns}nstat -az TcpExtTCPMinTTLDrop"],
    fix: ["# correct ttl-security (hops) of this neighbour on both sides"],
  },
  {
    id: "tcp-paws",
    reasons: ["TCP_RFC7323_PAWS", "TCP_RFC7323_PAWS_ACK", "TCP_RFC7323_TW_PAWS", "TCP_RFC7323_TSECR"],
    counters: [
      "TcpExtPAWSEstab",
      "TcpExtPAWSActive",
      "TcpExtPAWSOldAck",
      "TcpExtPAWSTimewait",
      "TcpExtTSEcrRejected",
    ],
    // Late duplicates on a path that reorders make a few.
    least: 10,
    severity: "suspicious",
    isSymptom: true,
    because: "their timestamp is older than one seen before (PAWS)",
    explains:
      "several hosts behind one NAT address have different clocks, or a middlebox rewrites timestamps: new connections from them are refused while an old one is in TIME-WAIT",
    check: [
      "{ns}nstat -az TcpExtPAWSEstab TcpExtPAWSActive TcpExtPAWSTimewait",
      "{ns}sysctl net.ipv4.tcp_timestamps net.ipv4.tcp_tw_reuse",
    ],
    fix: [
      "# have the NAT in front rewrite timestamps, or take it out; to prove it: sysctl -w net.ipv4.tcp_timestamps=0",
    ],
  },
  {
    id: "tcp-sequence",
    reasons: [
      "TCP_INVALID_SEQUENCE",
      "TCP_INVALID_END_SEQUENCE",
      "TCP_OVERWINDOW",
      "TCP_INVALID_ACK_SEQUENCE",
      "TCP_ACK_UNSENT_DATA",
    ],
    counters: ["TcpExtBeyondWindow"],
    // Retransmissions that cross an ACK are outside the window now and then.
    least: 20,
    severity: "suspicious",
    isSymptom: true,
    because: "their sequence number lies outside what the connection can accept",
    explains:
      "the sender ignores the window, one side has forgotten the connection, or a middlebox (firewall, NAT, balancer) changes or mixes up sequence numbers",
    check: [
      "{ns}nstat -az TcpExtTCPACKSkippedSeq TcpExtTCPChallengeACK TcpExtBeyondWindow",
      "{ns}ss -tin state established",
    ],
    fix: ["# compare captures at both ends: tcpdump -nn -S on each, same connection, same sequence numbers?"],
  },
  {
    id: "tcp-syn-again",
    reasons: ["TCP_INVALID_SYN"],
    counters: ["TcpExtTCPSYNChallenge"],
    least: 20,
    severity: "suspicious",
    isSymptom: true,
    because: "a SYN came for a connection that exists already; it was answered with a challenge",
    explains:
      "the sender has forgotten the connection (crash, restart, NAT that reuses a port), or repeats its SYN-ACK because the ACK that ended the handshake got lost",
    check: ["{ns}nstat -az TcpExtTCPSYNChallenge TcpExtTCPChallengeACK"],
    fix: [
      "# look at the senders: trace drops --reason TCP_INVALID_SYN --events --duration 10s shows their flags",
    ],
  },
  {
    id: "tcp-flags",
    reasons: ["TCP_FLAGS", "TCP_FASTOPEN"],
    counters: [],
    least: 20,
    severity: "suspicious",
    isSymptom: true,
    because: "their flags make no sense in the state of the connection",
    explains:
      "a port scan, a broken sender, or a middlebox that lets one side forget the connection and open it anew",
    check: ["{ns}nstat -az TcpExtTCPChallengeACK"],
    fix: ["# look at the senders: trace drops --reason TCP_FLAGS --events --duration 10s shows the flags"],
  },
  {
    id: "tcp-abort-on-data",
    reasons: ["TCP_ABORT_ON_DATA", "TCP_ABORT_ON_LINGER", "TCP_ABORT_ON_CLOSE"],
    counters: ["TcpExtTCPAbortOnData", "TcpExtTCPAbortOnClose", "TcpExtTCPAbortOnLinger"],
    // Browsers and health checks leave before the last byte all the time.
    least: 100,
    severity: "info",
    because:
      "the program here had closed the connection while its peer was still sending, so the connection was reset",
    explains:
      "normal for clients that stop reading early; where answers get lost, the program closes without reading to the end",
    check: ["{ns}nstat -az TcpExtTCPAbortOnData TcpExtTCPAbortOnClose"],
    fix: ["# in the program: shutdown(), read until the end, then close()"],
  },
  {
    id: "socket-filter",
    reasons: ["SOCKET_FILTER"],
    counters: [],
    least: 10,
    severity: "suspicious",
    because:
      "a filter on the socket (SO_ATTACH_FILTER, SO_ATTACH_BPF) or an eBPF program of its control group refused them",
    explains: "not a firewall rule: the program itself or a container network agent attached the filter",
    check: ["bpftool cgroup tree", "{ns}ss -anpe --bpf"],
    fix: ["# ask the program or agent that attached the filter: bpftool prog show lists it"],
  },
  {
    id: "security-module",
    reasons: ["SECURITY_HOOK"],
    counters: [],
    least: 3,
    severity: "problem",
    because: "a security module (SELinux, AppArmor, Smack, BPF LSM) forbids them for this socket",
    explains: "its log tells the rule",
    check: ["ausearch -m avc -ts recent", "dmesg | grep -iE 'avc|apparmor' | tail"],
    fix: ["# allow it in the policy: audit2allow -a shows the rule that is missing (SELinux)"],
  },
  {
    id: "memory-reserve",
    reasons: ["PFMEMALLOC"],
    counters: ["TcpExtPFMemallocDrop"],
    least: 3,
    severity: "problem",
    because:
      "they were received into the emergency memory that only swap and storage may use: the host is out of memory",
    explains: "free memory was below vm.min_free_kbytes for atomic allocations",
    check: ["free -m", "sysctl vm.min_free_kbytes", "dmesg | grep -i 'page allocation failure' | tail"],
    fix: ["# free memory, or keep more in reserve: sysctl -w vm.min_free_kbytes=262144"],
  },
];
