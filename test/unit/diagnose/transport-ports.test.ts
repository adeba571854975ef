import { describe, expect, test } from "vitest";
import { diagnose } from "../../../src/diagnose/diagnose.ts";
import type { DropFact, Facts } from "../../../src/diagnose/facts.ts";
import { TRANSPORT_RULES } from "../../../src/diagnose/rules/transport/index.ts";
import { makeDrop, makeFacts, makeListener, makeNetwork, NETNS, makeDatagramSocket } from "./support.ts";

const examine = (facts: Facts) => diagnose(facts, TRANSPORT_RULES);
const closed = (count: number, fields: Partial<DropFact> = {}) =>
  makeDrop({ destinationPort: 5353, count, ...fields });

describe("a closed port", () => {
  test("is a problem when one sender keeps asking, with the port, the sender and the kernel's own counters", () => {
    const facts = makeFacts({
      drops: [closed(200)],
      networks: [
        makeNetwork({ counters: { UdpNoPorts: 200, IcmpOutDestUnreachs: 6, IcmpOutRateLimitHost: 194 } }),
      ],
    });
    expect(examine(facts)).toEqual([
      {
        id: "closed-port",
        severity: "problem",
        summary: "Nobody listens on UDP port 5353 of 10.0.0.2: 200 datagrams from 10.0.0.1 refused",
        count: 200,
        netns: { inode: NETNS, name: "web" },
        evidence: [
          'NO_SOCKET for 10.0.0.2:5353 in namespace "web"',
          "UdpNoPorts +200, IcmpOutDestUnreachs +6, IcmpOutRateLimitHost +194",
          "nothing in this namespace listens on port 5353 at the end of the run",
        ],
        check: ["ip netns exec web ss -lunp 'sport = :5353'"],
        fix: [
          "# start the service that belongs to UDP port 5353, or correct the address or port at 10.0.0.1",
        ],
      },
    ]);
  });

  test.each([
    [1, "info"],
    [9, "suspicious"],
    [10, "problem"],
  ])("asked %i times by one sender is %s", (count, severity) => {
    expect(examine(makeFacts({ drops: [closed(count)] }))).toMatchObject([{ id: "closed-port", severity }]);
  });

  test("asked once each by many is the noise of the internet, not a problem", () => {
    const drops = Array.from({ length: 40 }, (_, index) => closed(1, { source: `192.0.2.${index}` }));
    expect(examine(makeFacts({ drops }))).toMatchObject([{ severity: "suspicious", count: 40 }]);
  });

  test("asked less than twice a minute is no problem, however long the run", () => {
    expect(examine(makeFacts({ drops: [closed(20)], seconds: 3600 }))).toMatchObject([
      { severity: "suspicious" },
    ]);
  });

  test("names who listens on 127.0.0.1 only", () => {
    const listener = makeListener({ port: 8082, address: "127.0.0.1", inode: 77 });
    const [finding] = examine(
      makeFacts({
        drops: [closed(50, { proto: "tcp", location: "tcp_v4_rcv", destinationPort: 8082 })],
        networks: [makeNetwork({ delta: { listeners: [listener] } })],
        owners: new Map([[77, { pid: 12, comm: "perl" }]]),
      }),
    );
    expect(finding?.severity).toBe("problem");
    expect(finding?.evidence).toContain(
      "perl (pid 12) listens on 127.0.0.1:8082, which only this namespace itself can reach, not on 10.0.0.2:8082",
    );
    expect(finding?.fix).toEqual([
      "# make perl (pid 12) listen on 10.0.0.2 or on all addresses instead of 127.0.0.1",
    ]);
  });

  test("names the namespace in which the service runs", () => {
    const [finding] = examine(
      makeFacts({
        drops: [closed(50, { proto: "tcp", destinationPort: 80 })],
        networks: [
          makeNetwork(),
          makeNetwork({
            inode: 4_026_532_999,
            name: "other",
            delta: { listeners: [makeListener({ port: 80 })] },
          }),
        ],
      }),
    );
    expect(finding?.evidence).toContain('a program listens on 0.0.0.0:80 in namespace "other"');
  });

  test("says so when the port is open for the other protocol only", () => {
    const [finding] = examine(
      makeFacts({
        drops: [closed(50, { destinationPort: 53 })],
        networks: [makeNetwork({ delta: { listeners: [makeListener({ port: 53 })] } })],
      }),
    );
    expect(finding?.evidence).toContain("a program listens on 0.0.0.0:53, but for TCP only");
  });

  test("does not claim that nobody listens in a namespace that could not be read", () => {
    const [finding] = examine(makeFacts({ drops: [closed(50)] }));
    expect(finding?.evidence).toContain(
      "who listens in this namespace could not be read: no way in, no answer in time, or it is gone",
    );
  });

  test("is told from late segments for a port that is open", () => {
    const facts = makeFacts({
      drops: [closed(50, { proto: "tcp", location: "tcp_v4_rcv", destinationPort: 80 })],
      networks: [makeNetwork({ delta: { listeners: [makeListener({ port: 80 })] } })],
    });
    expect(examine(facts)).toMatchObject([{ id: "closed-port-stale", severity: "info" }]);
  });

  test("is told from answers to a client that is gone", () => {
    const drop = closed(5, { sourcePort: 53, destinationPort: 40_123 });
    expect(examine(makeFacts({ drops: [drop] }))).toMatchObject([{ id: "late-answer", severity: "info" }]);
    expect(examine(makeFacts({ drops: [{ ...drop, count: 50 }] }))).toMatchObject([
      { id: "late-answer", severity: "suspicious" },
    ]);
  });

  test("many ports asked by one sender are a scan, one finding", () => {
    const drops = Array.from({ length: 300 }, (_, index) =>
      closed(1, { proto: "tcp", destinationPort: index + 1 }),
    );
    expect(examine(makeFacts({ drops }))).toMatchObject([
      { id: "port-scan", severity: "suspicious", count: 300 },
    ]);
  });

  test("many ports asked by many senders are summed up after the first eight", () => {
    const drops = Array.from({ length: 30 }, (_, index) =>
      closed(1, { source: `192.0.2.${index}`, destinationPort: 1000 + index }),
    );
    const findings = examine(makeFacts({ drops }));
    expect(findings).toHaveLength(9);
    expect(findings.reduce((sum, { count }) => sum + count, 0)).toBe(30);
  });

  test("is proved by counters where the kernel gives no reasons, and not assumed without them", () => {
    const drops = [closed(50, { reason: null })];
    const describeDrop: Facts["describe"] = () => ({
      meaning: "not accepted",
      class: "depends",
      reasons: ["NO_SOCKET", "UDP_CSUM"],
      check: [],
      fix: [],
    });
    const old = { drops, describe: describeDrop, hasReason: () => false };
    expect(
      examine(makeFacts({ ...old, networks: [makeNetwork({ counters: { UdpNoPorts: 50 } })] })),
    ).toMatchObject([{ id: "closed-port", count: 50 }]);
    expect(examine(makeFacts({ ...old, networks: [makeNetwork()] }))).toEqual([]);
  });
});

test("a socket that is connected to another peer is named, not denied", () => {
  const socket = makeDatagramSocket({
    local: "10.0.0.2",
    localPort: 5353,
    remote: "10.0.0.7",
    remotePort: 9999,
  });
  const networks = [makeNetwork({ counterState: { datagramSockets: [socket] } })];
  const owners = new Map([[77, { pid: 12, comm: "agent" }]]);
  const [finding] = examine(makeFacts({ drops: [closed(50)], networks, owners }));
  expect(finding?.evidence).toContain(
    "agent (pid 12) holds 10.0.0.2:5353, but connected to 10.0.0.7:9999: it takes datagrams from there only",
  );
});

test("a closed UDP-Lite port is told with its own counter and the file that lists its sockets", () => {
  const drops = [closed(40, { proto: "udplite" })];
  const networks = [makeNetwork({ counters: { UdpLiteNoPorts: 40 } })];
  expect(examine(makeFacts({ drops, networks }))).toMatchObject([
    {
      id: "closed-port",
      severity: "problem",
      summary: "Nobody listens on UDP-Lite port 5353 of 10.0.0.2: 40 datagrams from 10.0.0.1 refused",
      check: ["ip netns exec web cat /proc/net/udplite /proc/net/udplite6"],
    },
  ]);
});

describe("answers to many ports are no scan", () => {
  test("those of a name server to clients that are gone are one finding", () => {
    const drops = Array.from({ length: 60 }, (_, index) =>
      closed(1, { source: "10.0.0.53", sourcePort: 53, destinationPort: 40_000 + index }),
    );
    const found = examine(makeFacts({ drops }));
    expect(found).toMatchObject([{ id: "late-answer", severity: "suspicious", count: 60 }]);
    expect(found[0]?.summary).toMatch(/60 datagrams from 10\.0\.0\.53:53 for UDP ports 40000 \(1\)/);
  });

  test("those of a service on this machine to connections that nobody here has", () => {
    const drops = Array.from({ length: 60 }, (_, index) =>
      closed(1, { proto: "tcp", source: "10.0.0.9", sourcePort: 8017, destinationPort: 3000 + index }),
    );
    const service = makeNetwork({
      inode: 4_026_532_999,
      name: "service",
      addresses: ["10.0.0.9"],
      delta: { listeners: [makeListener({ port: 8017 })] },
    });
    expect(examine(makeFacts({ drops, networks: [makeNetwork(), service] }))).toMatchObject([
      { id: "closed-port-stale", severity: "suspicious", count: 60 },
    ]);
    expect(examine(makeFacts({ drops, networks: [makeNetwork()] }))).toMatchObject([{ id: "port-scan" }]);
  });
});
