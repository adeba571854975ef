import { describe, expect, it } from "vitest";
import { parseDev } from "../../../src/evidence/net/parse/dev.ts";
import { parseMibLines, parseMibPairs, partGauges } from "../../../src/evidence/net/parse/mib.ts";
import { parsePacketQueues } from "../../../src/evidence/net/parse/packet-queues.ts";
import { parsePerCpu } from "../../../src/evidence/net/parse/percpu.ts";
import { parseSockstat } from "../../../src/evidence/net/parse/sockstat.ts";
import { parseSoftnet } from "../../../src/evidence/net/parse/softnet.ts";
import { AFTER, DEBIAN13, readSection } from "./fixtures.ts";

const after = (section: string): string => readSection(AFTER, "evsrv", section);

describe("/proc/net/dev", () => {
  const header = "Inter-|   Receive |  Transmit\n face |bytes packets |bytes packets\n";

  it("reads the columns of netstat -i", () => {
    const line = "  eth0: 1 2 3 4 5 6 7 8 11 12 13 14 15 16 17 18\n";
    expect(parseDev(header + line)).toEqual({
      value: [
        {
          name: "eth0",
          rxBytes: 1,
          rxPackets: 2,
          rxErrors: 3,
          rxDropped: 4,
          rxFifo: 5,
          rxFrame: 6,
          txBytes: 11,
          txPackets: 12,
          txErrors: 13,
          txDropped: 14,
          txFifo: 15,
          txCollisions: 16,
          txCarrier: 17,
        },
      ],
      unread: 0,
    });
  });

  it("takes any name that the kernel takes, and no blank after the colon", () => {
    const { value } = parseDev(`${header}a|b\u001b[31m:${" 7".repeat(16)}\nveth0:1${" 7".repeat(15)}\n`);
    expect(value.map((device) => device.name)).toEqual(["a|b\u001b[31m", "veth0"]);
  });

  it("counts a cut line and keeps the others", () => {
    expect(parseDev(`${header}lo: ${"0 ".repeat(16)}\neth0: 1 2 3`)).toMatchObject({
      value: [{ name: "lo" }],
      unread: 1,
    });
  });

  it("reads a recording in full", () => {
    const { value, unread } = parseDev(after("/proc/net/dev"));
    expect(unread).toBe(0);
    expect(value.map((device) => device.name)).toEqual(["lo", "s0"]);
  });
});

describe("/proc/net/snmp, netstat, snmp6", () => {
  it("names counters as nstat does", () => {
    expect(parseMibPairs(after("/proc/net/snmp")).value).toMatchObject({
      TcpRetransSegs: 0,
      IcmpMsgOutType3: 6,
    });
    expect(parseMibPairs(after("/proc/net/netstat")).value).toMatchObject({
      TcpExtListenDrops: 14,
      IpExtInNoRoutes: 0,
    });
    expect(parseMibLines(after("/proc/net/snmp6")).value).toHaveProperty("Ip6InDiscards", 0);
  });

  it("reads every pair of three kernels' files", () => {
    for (const text of [
      after("/proc/net/snmp"),
      after("/proc/net/netstat"),
      readSection(DEBIAN13, "a", "/proc/net/netstat"),
    ]) {
      expect(parseMibPairs(text).unread).toBe(0);
    }
  });

  it("keeps negative settings and counters above 2^53", () => {
    expect(parseMibPairs("Tcp: MaxConn OutSegs\nTcp: -1 18446744073709551615\n").value).toEqual({
      TcpMaxConn: -1,
      TcpOutSegs: 2 ** 64,
    });
  });

  it("parts settings and levels from counters", () => {
    const parts = partGauges({ TcpCurrEstab: 5, TcpOutSegs: 7, IpDefaultTTL: 64 });
    expect(parts).toEqual({ counters: { TcpOutSegs: 7 }, gauges: { TcpCurrEstab: 5, IpDefaultTTL: 64 } });
  });

  it("counts what is cut: a group without values, values without number", () => {
    expect(parseMibPairs("Ip: A B\nTcp: C\nTcp: 1\nUdp: D").value).toEqual({ TcpC: 1 });
    expect(parseMibPairs("Ip: A B\nTcp: C\nTcp: 1\nUdp: D").unread).toBe(2);
    expect(parseMibPairs("Ip: A B\nIp: 1\n")).toEqual({ value: { IpA: 1 }, unread: 1 });
  });

  it("does not lose a counter that is named like an object's prototype", () => {
    const { value } = parseMibLines("__proto__ 3\n");
    expect(Object.entries(value)).toEqual([["__proto__", 3]]);
  });
});

const hex = (...numbers: number[]): string =>
  numbers.map((number) => number.toString(16).padStart(8, "0")).join(" ");

describe("/proc/net/softnet_stat", () => {
  it("reads today's 15 columns", () => {
    const line = hex(0x888dbb, 3, 12, 0, 0, 0, 0, 0, 0, 40, 5, 6, 1, 2, 4);
    expect(parseSoftnet(line).value).toEqual([
      { cpu: 1, processed: 0x888dbb, dropped: 3, timeSqueeze: 12, receivedRps: 40, flowLimit: 5, backlog: 6 },
    ]);
  });

  it.each([
    [9, { receivedRps: null, flowLimit: null, backlog: null, cpu: null }],
    [10, { receivedRps: 9, flowLimit: null, backlog: null, cpu: null }],
    [11, { receivedRps: 9, flowLimit: 10, backlog: null, cpu: null }],
    [13, { receivedRps: 9, flowLimit: 10, backlog: 11, cpu: 12 }],
  ])("reads the %d columns of older kernels", (columns, expected) => {
    const line = hex(...Array.from({ length: columns }, (_, index) => index));
    expect(parseSoftnet(line).value).toMatchObject([
      { processed: 0, dropped: 1, timeSqueeze: 2, ...expected },
    ]);
  });

  it("counts lines that are no numbers", () => {
    expect(parseSoftnet("xyz\n0000 0001\n")).toEqual({ value: [], unread: 2 });
  });
});

describe("per CPU tables", () => {
  it("sums the CPUs, but not the size of the shared table", () => {
    const text = "entries  drop early_drop\n0000000a  00000001 00000002\n0000000a  0000000f 00000000\n";
    expect(parsePerCpu(text)).toEqual({ value: { entries: 10, drop: 16, early_drop: 2 }, unread: 0 });
  });

  it("is null without a CPU line", () => {
    expect(parsePerCpu("entries drop\n")).toEqual({ value: null, unread: 0 });
    expect(parsePerCpu("entries drop\n00000001\n")).toEqual({ value: null, unread: 1 });
  });
});

it("reads sockstat", () => {
  expect(parseSockstat("sockets: used 15\nTCP: inuse 1 orphan 0 mem 210\nFRAG: inuse\n")).toEqual({
    value: { "sockets.used": 15, "TCP.inuse": 1, "TCP.orphan": 0, "TCP.mem": 210 },
    unread: 1,
  });
});

it("reads netfilter queues", () => {
  expect(parsePacketQueues("    3  31621     0 2 65531     7     1       40  1\nrubbish\n")).toEqual({
    value: [{ queue: 3, portid: 31621, waiting: 0, dropped: 7, userDropped: 1 }],
    unread: 1,
  });
});
