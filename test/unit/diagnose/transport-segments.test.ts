import { describe, expect, test } from "vitest";
import { diagnose } from "../../../src/diagnose/diagnose.ts";
import type { DropFact, Facts } from "../../../src/diagnose/facts.ts";
import { TRANSPORT_RULES } from "../../../src/diagnose/rules/transport/index.ts";
import type { Link } from "../../../src/evidence/net/types.ts";
import { makeDrop, makeFacts, makeNetwork, NETNS } from "./support.ts";

const examine = (facts: Facts) => diagnose(facts, TRANSPORT_RULES);
const tcp = (reason: string, count: number, fields: Partial<DropFact> = {}) =>
  makeDrop({
    reason,
    location: "tcp_validate_incoming",
    proto: "tcp",
    destinationPort: 80,
    count,
    ...fields,
  });

const makeLink = (fields: Partial<Link>): Link => ({
  index: 2,
  name: "eth0",
  kind: null,
  type: "ether",
  physical: true,
  mtu: 1500,
  minMtu: null,
  maxMtu: null,
  flags: ["UP", "LOWER_UP"],
  operstate: "UP",
  address: null,
  master: null,
  peerIndex: null,
  peerName: null,
  peerNsid: null,
  peerNetns: null,
  qdisc: null,
  txQueueLength: null,
  promiscuity: 0,
  xdp: [],
  stats: {},
  info: {},
  ...fields,
});

describe("wrong checksums", () => {
  const drops = [makeDrop({ reason: "UDP_CSUM", count: 100 })];
  const counters = { UdpInCsumErrors: 100, UdpInErrors: 100 };

  test("on a veth are made by the sender: the fix is at its end", () => {
    const here = makeLink({ kind: "veth", physical: false, peerIndex: 7, peerNsid: 0, peerNetns: "client" });
    const there = makeLink({
      index: 7,
      name: "c0",
      kind: "veth",
      physical: false,
      peerIndex: 2,
      peerNsid: 0,
      peerNetns: "web",
    });
    const [finding, ...rest] = examine(
      makeFacts({
        drops,
        networks: [
          makeNetwork({ counters, configuration: { links: [here] } }),
          makeNetwork({ inode: NETNS + 1, name: "client", configuration: { links: [there] } }),
        ],
      }),
    );
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "checksum", severity: "problem", count: 100 });
    expect(finding?.evidence[0]).toContain("UdpInCsumErrors +100");
    expect(finding?.fix[0]).toBe("ip netns exec client ethtool -K c0 tx off");
  });

  test("on a card point at the wire, or at the card's own check", () => {
    const [finding] = examine(
      makeFacts({ drops, networks: [makeNetwork({ counters, configuration: { links: [makeLink({})] } })] }),
    );
    expect(finding?.fix[0]).toBe("ip netns exec web ethtool -K eth0 rx off");
  });

  test("now and then are suspicious only", () => {
    expect(
      examine(makeFacts({ drops: [makeDrop({ reason: "TCP_CSUM", proto: "tcp", count: 2 })] })),
    ).toMatchObject([{ id: "checksum", severity: "suspicious" }]);
  });
});

describe("segments that do not fit", () => {
  test("of a BGP session with the wrong password are a problem from the third on", () => {
    expect(examine(makeFacts({ drops: [tcp("TCP_MD5FAILURE", 3)] }))).toMatchObject([
      { id: "tcp-md5", severity: "problem" },
    ]);
    expect(examine(makeFacts({ drops: [tcp("TCP_MD5FAILURE", 1)] }))).toMatchObject([
      { severity: "suspicious" },
    ]);
  });

  test.each([
    ["TCP_RFC7323_PAWS", 9, 10, "tcp-paws"],
    ["TCP_INVALID_SEQUENCE", 19, 20, "tcp-sequence"],
    ["TCP_INVALID_SYN", 19, 20, "tcp-syn-again"],
    ["SOCKET_FILTER", 9, 10, "socket-filter"],
    ["TCP_ABORT_ON_DATA", 99, 100, "tcp-abort-on-data"],
  ])("%s: %i are noise, %i are worth a word", (reason, few, many, id) => {
    expect(examine(makeFacts({ drops: [tcp(reason, few)] }))).toEqual([]);
    expect(examine(makeFacts({ drops: [tcp(reason, many)] }))).toMatchObject([{ id }]);
  });

  test("are not worth a word where packets of the same hosts are lost here", () => {
    const loss = tcp("NETFILTER_DROP", 50, { source: "10.0.0.2", destination: "10.0.0.1" });
    const describeDrop: Facts["describe"] = ({ reason }) =>
      reason === "NETFILTER_DROP"
        ? { meaning: "A rule dropped it.", class: "loss", reasons: ["NETFILTER_DROP"], check: [], fix: [] }
        : null;
    expect(examine(makeFacts({ drops: [loss, tcp("TCP_INVALID_SYN", 30)], describe: describeDrop }))).toEqual(
      [],
    );
  });

  test("that came twice are a note where they are many, and nothing where they are few", () => {
    const network = makeNetwork({ counters: { TcpInSegs: 10_000, TcpExtDelayedACKLost: 60 } });
    expect(examine(makeFacts({ drops: [tcp("TCP_OLD_DATA", 49)], networks: [network] }))).toEqual([]);
    expect(examine(makeFacts({ drops: [tcp("TCP_OLD_DATA", 50)], networks: [network] }))).toMatchObject([
      { id: "tcp-duplicates", severity: "info", count: 50 },
    ]);
    const busy = makeNetwork({ counters: { TcpInSegs: 10_000_000 } });
    expect(examine(makeFacts({ drops: [tcp("TCP_OLD_DATA", 500)], networks: [busy] }))).toEqual([]);
  });
});

describe("what a TCP socket cannot take", () => {
  test.each([
    ["SOCKET_BACKLOG", "TcpExtTCPBacklogDrop", "socket-backlog"],
    ["TCP_OFO_QUEUE_PRUNE", "TcpExtOfoPruned", "tcp-out-of-order-pruned"],
    ["TCP_ZEROWINDOW", "TcpExtTCPZeroWindowDrop", "tcp-zero-window"],
  ])("%s, or %s alone, is %s", (reason, counter, id) => {
    const networks = [makeNetwork({ counters: { [counter]: 12 } })];
    expect(examine(makeFacts({ drops: [tcp(reason, 12)], networks }))).toMatchObject([
      { id, count: 12, severity: "problem" },
    ]);
    expect(examine(makeFacts({ networks }))).toMatchObject([{ id, count: 12 }]);
  });
});
