import { describe, expect, test } from "vitest";
import { diagnose } from "../../../src/diagnose/diagnose.ts";
import type { DropDescription, Facts } from "../../../src/diagnose/facts.ts";
import { LEFTOVER_RULES } from "../../../src/diagnose/rules/leftover/index.ts";
import { changeOf } from "../../../src/evidence/change.ts";
import { makeDrop, makeFacts, makeInterface, makeNetwork, NETNS } from "./support.ts";

const examine = (facts: Facts) => diagnose(facts, LEFTOVER_RULES);
const described = (fields: Partial<DropDescription> = {}): Facts["describe"] => {
  const entry = {
    meaning: "The other end's MTU is smaller.",
    class: "loss" as const,
    reasons: ["PKT_TOO_BIG"],
    check: ["ip netns exec web ip -d link"],
    fix: ["ip netns exec web ip link set dev eth0 mtu 1500"],
    ...fields,
  };
  return () => entry;
};

describe("drops that no rule explained", () => {
  const drop = makeDrop({
    reason: "NOT_SPECIFIED",
    location: "__dev_forward_skb2",
    functions: ["entry", "veth_xmit", "__dev_forward_skb2"],
    count: 40,
  });

  test("are told by the catalogue's entry of their call site, as the problem that class says", () => {
    const [finding, ...rest] = examine(
      makeFacts({ drops: [drop], networks: [makeNetwork()], describe: described() }),
    );
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({
      id: "other-drop",
      severity: "problem",
      summary: "40 packets dropped at __dev_forward_skb2(): The other end's MTU is smaller.",
      count: 40,
      netns: { inode: NETNS, name: "web" },
      fix: ["ip netns exec web ip link set dev eth0 mtu 1500"],
    });
    expect(finding?.evidence).toContain(
      "on the way: entry → veth_xmit → __dev_forward_skb2; the profile of the run has the whole stacks",
    );
    expect(finding?.check).toContain("trace drops --reason NOT_SPECIFIED --events --duration 10s");
  });

  test.each([
    ["loss", 1, "info"],
    ["loss", 5, "suspicious"],
    ["depends", 5, "info"],
    ["depends", 40, "suspicious"],
  ] as const)("of class %s, %i of them, are %s", (kind, count, severity) => {
    const facts = makeFacts({ drops: [{ ...drop, count }], describe: described({ class: kind }) });
    expect(examine(facts)).toMatchObject([{ severity, count }]);
  });

  test("at a place nobody knows are said to be unknown, with how to look further", () => {
    const [finding] = examine(makeFacts({ drops: [{ ...drop, location: "my_module_rx" }] }));
    expect(finding).toMatchObject({ id: "other-drop-unknown", severity: "suspicious", fix: [] });
    expect(finding?.summary).toContain("my_module_rx() for a reason that the kernel does not give");
    expect(finding?.check).toEqual(["trace drops --reason NOT_SPECIFIED --events --duration 10s"]);
  });

  test("that are benign, or small talk of a device that comes up, are nothing", () => {
    const drops = [
      { ...drop, benign: true },
      makeDrop({
        reason: "IP_INNOROUTES",
        location: "ip6_pkt_discard",
        proto: "icmpv6",
        source: "::",
        destination: "ff02::16",
        destinationPort: null,
        count: 3,
      }),
      makeDrop({ reason: "NOT_SPECIFIED", location: "arp_rcv", proto: "arp", count: 20 }),
    ];
    expect(examine(makeFacts({ drops }))).toEqual([]);
  });
});

describe("counters that moved without an event", () => {
  const run = (counters: Record<string, number>, fields: Partial<Facts> = {}) =>
    examine(makeFacts({ networks: [makeNetwork({ counters })], ...fields }));

  test("are a finding, as severe as the catalogue says", () => {
    expect(run({ TcpExtIPReversePathFilter: 30 })).toMatchObject([
      { id: "silent-counter", severity: "problem", count: 30, netns: { inode: NETNS, name: "web" } },
    ]);
    expect(run({ IpInUnknownProtos: 30 })).toMatchObject([{ severity: "suspicious" }]);
  });

  test("are none where the events explain them, or most of them", () => {
    const drops = [makeDrop({ reason: "IP_RPFILTER", benign: true, count: 28 })];
    expect(run({ TcpExtIPReversePathFilter: 30 }, { drops })).toEqual([]);
    const few = [makeDrop({ reason: "IP_RPFILTER", benign: true, count: 3 })];
    expect(run({ TcpExtIPReversePathFilter: 30 }, { drops: few })).toMatchObject([{ severity: "problem" }]);
  });

  test("are none where only some packets were asked for", () => {
    expect(run({ TcpExtIPReversePathFilter: 30 }, { isFiltered: true })).toEqual([]);
  });

  test("are counted once where one contains the other", () => {
    expect(run({ UdpInErrors: 30, UdpRcvbufErrors: 30 })).toMatchObject([
      { summary: expect.stringContaining("UdpRcvbufErrors") },
    ]);
  });

  test("that move on every healthy host are no problem", () => {
    const noise = {
      TcpRetransSegs: 40,
      TcpOutSegs: 100_000,
      TcpInSegs: 90_000,
      TcpActiveOpens: 900,
      TcpPassiveOpens: 1200,
      TcpAttemptFails: 12,
      TcpEstabResets: 60,
      TcpOutRsts: 80,
      TcpExtTCPTimeouts: 9,
      TcpExtTCPSynRetrans: 4,
      TcpExtTCPLossProbes: 30,
      TcpExtTCPDSACKRecv: 12,
      TcpExtTCPSackRecovery: 5,
      TcpExtTCPLostRetransmit: 3,
      TcpExtDelayedACKLost: 10,
      TcpExtTCPToZeroWindowAdv: 1461,
      TcpExtTCPFromZeroWindowAdv: 1461,
      TcpExtPruneCalled: 8,
      TcpExtTCPMemoryPressures: 1,
      IpOutNoRoutes: 1,
      Ip6OutNoRoutes: 250,
      IcmpInDestUnreachs: 20,
      IcmpOutDestUnreachs: 20,
      IcmpInErrors: 2,
      IpInHdrErrors: 1,
      IpInDiscards: 2,
      UdpNoPorts: 3,
    };
    expect(run(noise).filter(({ severity }) => severity !== "info")).toEqual([]);
  });
});

describe("devices that count losses without an event", () => {
  const run = (device: Parameters<typeof makeInterface>[0], fields: Partial<Facts> = {}) =>
    examine(
      makeFacts({ networks: [makeNetwork({ delta: { interfaces: [makeInterface(device)] } })], ...fields }),
    );

  test("a ring that overflows is a problem, told once and with the driver's own words", () => {
    const findings = run({
      rxDropped: changeOf(0, 50),
      details: { "rx.missed_errors": changeOf(0, 50) },
      driver: { rx_no_buffer_count: changeOf(10, 60) },
    });
    expect(findings).toMatchObject([{ id: "silent-device", severity: "problem", count: 50 }]);
    expect(findings[0]?.evidence).toContain("its driver counts rx_no_buffer_count +50");
    expect(findings[0]?.check.join("\n")).toContain("eth0");
  });

  test("only what the driver counts is suspicious", () => {
    expect(run({ driver: { rx_discards_phy: changeOf(0, 50) } })).toMatchObject([
      { id: "silent-device-driver", severity: "suspicious", count: 50 },
    ]);
  });

  test("what the cloud holds back, a ring and a cable each have their own remedy", () => {
    const fixOf = (name: string) => run({ driver: { [name]: changeOf(0, 900) } })[0]?.fix[0];
    expect(fixOf("bw_in_allowance_exceeded")).toContain("the cloud throttles this machine");
    expect(fixOf("rx_out_of_buffer")).toContain("ethtool -G eth0 rx");
    expect(fixOf("rx_crc_errors_phy")).toContain("cable");
  });

  test("drops that events tell of are no finding", () => {
    const drops = [makeDrop({ reason: "UNHANDLED_PROTO", benign: true, proto: "lldp", count: 50 })];
    expect(run({ rxDropped: changeOf(0, 50) }, { drops })).toEqual([]);
    expect(run({ rxDropped: changeOf(0, 50) })).toMatchObject([{ severity: "suspicious" }]);
  });
});

describe("TCP trouble that no drop here explains", () => {
  const run = (counters: Record<string, number>, fields: Partial<Facts> = {}) =>
    examine(makeFacts({ networks: [makeNetwork({ counters, addresses: ["10.0.0.1"] })], ...fields }));

  test.each([
    ["tcp-unanswered", { TcpExtTCPSynRetrans: 12, TcpRetransSegs: 12, TcpActiveOpens: 20, TcpOutSegs: 40 }],
    ["tcp-refused", { TcpAttemptFails: 20, TcpActiveOpens: 30 }],
    ["tcp-retransmissions", { TcpRetransSegs: 406, TcpOutSegs: 9000, TcpExtTCPTimeouts: 20 }],
    ["tcp-resets", { TcpEstabResets: 80, TcpPassiveOpens: 100 }],
  ])("is suspicious: %s", (id, counters) => {
    expect(run(counters)).toMatchObject([{ id, severity: "suspicious" }]);
  });

  test("is not said again where a drop of the same host explains it", () => {
    const drops = [makeDrop({ reason: "NETFILTER_DROP", proto: "tcp", netns: NETNS + 1, count: 100 })];
    const [finding, ...rest] = run({ TcpRetransSegs: 406, TcpOutSegs: 9000 }, { drops });
    expect(finding?.id).toMatch(/^other-drop/);
    expect(finding?.evidence).toContain('TcpRetransSegs +406 in namespace "web", which sends them');
    expect(rest).toEqual([]);
  });
});
