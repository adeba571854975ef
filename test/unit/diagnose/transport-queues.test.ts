import { describe, expect, test } from "vitest";
import { diagnose } from "../../../src/diagnose/diagnose.ts";
import type { Facts } from "../../../src/diagnose/facts.ts";
import { TRANSPORT_RULES } from "../../../src/diagnose/rules/transport/index.ts";
import { changeOf } from "../../../src/evidence/change.ts";
import type { DatagramSocketDelta } from "../../../src/evidence/net/types.ts";
import { makeDrop, makeFacts, makeListener, makeNetwork, NETNS } from "./support.ts";

const examine = (facts: Facts) => diagnose(facts, TRANSPORT_RULES);
const owners = new Map([[9000, { pid: 4211, comm: "gunicorn" }]]);

describe("the accept queue", () => {
  const listener = makeListener({ port: 8080, queued: 6, backlog: 5, drops: changeOf(0, 36) });
  const network = makeNetwork({
    counters: { TcpExtListenOverflows: 36, TcpExtListenDrops: 36 },
    sysctls: { "net.core.somaxconn": "4096" },
    delta: { listeners: [listener, makeListener({ port: 22 })] },
  });

  test("overflows without any drop event: the listener, its process, its queue and the limit are named", () => {
    expect(examine(makeFacts({ networks: [network], owners }))).toEqual([
      {
        id: "accept-queue",
        severity: "problem",
        summary:
          "Connections to 0.0.0.0:8080 overflow the accept queue: gunicorn (pid 4211) does not accept() them fast enough",
        count: 36,
        netns: { inode: NETNS, name: "web" },
        evidence: [
          "listener 0.0.0.0:8080 of gunicorn (pid 4211): refused +36, 6 waiting of 5 (backlog) at the end; net.core.somaxconn = 4,096",
          'TcpExtListenOverflows +36, TcpExtListenDrops +36 in namespace "web"',
          "no drop event exists for this: the kernel consumes the refused SYN, only these counters show it",
        ],
        check: [
          "ip netns exec web ss -ltnp 'sport = :8080'",
          "ip netns exec web nstat -az TcpExtListenOverflows TcpExtListenDrops",
        ],
        fix: [
          "# let gunicorn (pid 4211) call listen() with a backlog of 4096 instead of 5 (its configuration calls it backlog), and accept() sooner; net.core.somaxconn = 4096 allows it",
        ],
      },
    ]);
  });

  test("is raised by sysctl, in its namespace, where somaxconn is what cut the backlog", () => {
    const cut = makeNetwork({
      counters: { TcpExtListenOverflows: 36, TcpExtListenDrops: 36 },
      sysctls: { "net.core.somaxconn": "128" },
      delta: { listeners: [{ ...listener, backlog: 128, queued: 129 }] },
    });
    expect(examine(makeFacts({ networks: [cut], owners }))[0]?.fix).toEqual([
      "ip netns exec web sysctl -w net.core.somaxconn=4096",
      "# then restart gunicorn (pid 4211): the limit of 128 was applied when it called listen()",
    ]);
  });

  test("of several sockets on one address (SO_REUSEPORT) is one finding that counts them all", () => {
    const workers = [14, 13, 11, 10, 6].map((drops, index) =>
      makeListener({ port: 8080, queued: 3, backlog: 2, inode: 9000 + index, drops: changeOf(0, drops) }),
    );
    const busy = makeNetwork({
      counters: { TcpExtListenOverflows: 54, TcpExtListenDrops: 54 },
      sysctls: { "net.ipv4.tcp_abort_on_overflow": "1" },
      delta: { listeners: workers },
    });
    const [finding, ...rest] = examine(makeFacts({ networks: [busy], owners }));
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "accept-queue", count: 54 });
    expect(finding?.evidence.filter((line) => line.startsWith("listener "))).toHaveLength(4);
    expect(finding?.evidence).toContain("and 1 more listeners on the same address (SO_REUSEPORT)");
    expect(finding?.evidence.join("\n")).toContain("tcp_abort_on_overflow = 1");
  });

  test("is not blamed for what a listener beside it refused because its SYN queue was full", () => {
    const flooded = makeListener({ port: 8501, backlog: 64, inode: 9001, drops: changeOf(0, 107) });
    const slow = makeListener({ port: 8502, queued: 2, backlog: 1, drops: changeOf(0, 10) });
    const both = makeNetwork({
      counters: { TcpExtListenOverflows: 10, TcpExtListenDrops: 117 },
      sysctls: { "net.ipv4.tcp_syncookies": "0", "net.ipv4.tcp_max_syn_backlog": "16" },
      delta: { listeners: [flooded, slow] },
    });
    const found = examine(makeFacts({ networks: [both], owners }));
    expect(found.map(({ id, count, summary }) => [id, count, /0\.0\.0\.0:\d+/.exec(summary)?.[0]])).toEqual([
      ["syn-queue", 107, "0.0.0.0:8501"],
      ["accept-queue", 10, "0.0.0.0:8502"],
    ]);
  });

  test("is found by who waits in it where there is no ss to tell lengths and counts", () => {
    const unknown = { backlog: null, drops: { before: null, after: null, delta: null } };
    const listeners = [
      makeListener({ port: 80, queued: 1, ...unknown }),
      makeListener({ port: 8080, queued: 6, ...unknown }),
    ];
    const counters = { TcpExtListenOverflows: 36, TcpExtListenDrops: 36 };
    const [finding] = examine(
      makeFacts({ networks: [makeNetwork({ counters, delta: { listeners } })], owners }),
    );
    expect(finding?.summary).toContain("0.0.0.0:8080");
    expect(finding?.evidence[0]).toBe(
      "listener 0.0.0.0:8080 of gunicorn (pid 4211): 6 waiting to be accepted at the end",
    );
  });

  test("once is suspicious, and a listener that is gone is not made up", () => {
    const [finding] = examine(
      makeFacts({
        networks: [makeNetwork({ counters: { TcpExtListenOverflows: 1, TcpExtListenDrops: 1 } })],
      }),
    );
    expect(finding).toMatchObject({ id: "accept-queue", severity: "suspicious", count: 1 });
    expect(finding?.summary).toContain("a listener that is closed by now");
  });

  test("takes what old kernels free without a reason at the end of a handshake, and only there", () => {
    const handshake = makeDrop({
      reason: "NOT_SPECIFIED",
      location: "tcp_v4_rcv",
      proto: "tcp",
      destinationPort: 8080,
    });
    const claimed = (hasListenOverflow: boolean) =>
      examine(
        makeFacts({
          drops: [handshake],
          networks: [network],
          hasReason: (name) => hasListenOverflow || name !== "TCP_LISTEN_OVERFLOW",
        }),
      )[0]?.evidence;
    expect(claimed(false)).toContain("1 event at the end of a handshake, from 10.0.0.1");
    expect(claimed(true)).toContain(
      "no drop event exists for this: the kernel consumes the refused SYN, only these counters show it",
    );
  });
});

describe("the queue of half-open connections", () => {
  const sysctls = {
    "net.ipv4.tcp_syncookies": "0",
    "net.ipv4.tcp_max_syn_backlog": "16",
    "net.core.somaxconn": "4096",
  };

  test("refuses SYNs without cookies: ListenDrops beyond ListenOverflows", () => {
    const network = makeNetwork({
      counters: { TcpExtListenDrops: 187 },
      sysctls,
      delta: { listeners: [makeListener({ port: 8085, drops: changeOf(0, 187) })] },
    });
    const [finding, ...rest] = examine(makeFacts({ networks: [network], owners }));
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "syn-queue", severity: "problem", count: 187 });
    expect(finding?.evidence).toContain("net.ipv4.tcp_syncookies = 0, net.ipv4.tcp_max_syn_backlog = 16");
    expect(finding?.fix).toEqual([
      "ip netns exec web sysctl -w net.ipv4.tcp_syncookies=1",
      "ip netns exec web sysctl -w net.ipv4.tcp_max_syn_backlog=4096",
    ]);
  });

  test("that cookies relieved is suspicious at most", () => {
    const network = makeNetwork({
      counters: { TcpExtTCPReqQFullDoCookies: 135, TcpExtSyncookiesSent: 135 },
      sysctls,
    });
    expect(examine(makeFacts({ networks: [network] }))).toMatchObject([
      { id: "syn-cookies", severity: "suspicious", count: 135 },
    ]);
  });
});

describe("a datagram socket's receive buffer", () => {
  const socket: DatagramSocketDelta = {
    netns: { inode: NETNS, name: "web" },
    protocol: "udp",
    family: "ipv4",
    local: "0.0.0.0",
    localPort: 5400,
    remote: "0.0.0.0",
    remotePort: 0,
    inode: 9000,
    uid: 0,
    drops: changeOf(0, 291),
    receiveQueue: 7488,
    receiveBuffer: 8192,
    presence: "both",
  };
  const sysctls = { "net.core.rmem_max": "212992", "net.core.rmem_default": "212992" };
  const drops = [
    makeDrop({
      reason: "SOCKET_RCVBUFF",
      location: "udp_queue_rcv_one_skb",
      destinationPort: 5400,
      count: 291,
    }),
  ];
  const counters = { UdpRcvbufErrors: 291, UdpInErrors: 291 };

  test("is full: socket, process, fill and limits are named", () => {
    const [finding, ...rest] = examine(
      makeFacts({
        drops,
        owners,
        networks: [makeNetwork({ counters, sysctls, delta: { datagramSockets: [socket] } })],
      }),
    );
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "udp-receive-buffer", severity: "problem", count: 291 });
    expect(finding?.summary).toContain("gunicorn (pid 4211) does not read its socket");
    expect(finding?.evidence[0]).toBe(
      "socket 0.0.0.0:5400 of gunicorn (pid 4211): drops +291, 7,488 of 8,192 bytes waiting at the end",
    );
    expect(finding?.fix).toContain("sysctl -w net.core.rmem_max=8388608");
    expect(finding?.fix.join("\n")).not.toContain("rmem_default");
  });

  test("of the default size is raised by the default, in the host's own namespace, where that setting lives", () => {
    const usual = { ...socket, receiveBuffer: 212_992, receiveQueue: 4000 };
    const [finding] = examine(
      makeFacts({
        drops,
        owners,
        networks: [makeNetwork({ counters, sysctls, delta: { datagramSockets: [usual] } })],
      }),
    );
    expect(finding?.summary).toContain("reads too slowly or its buffer is too small");
    expect(finding?.fix).toEqual([
      "sysctl -w net.core.rmem_max=8388608",
      "sysctl -w net.core.rmem_default=8388608",
      "# then restart gunicorn (pid 4211): a socket keeps the size it was made with",
    ]);
  });

  test("is found by the counters alone where no event tells of it", () => {
    const [finding] = examine(
      makeFacts({ networks: [makeNetwork({ counters, delta: { datagramSockets: [socket] } })] }),
    );
    expect(finding).toMatchObject({ id: "udp-receive-buffer", count: 291 });
  });

  test("of a packet socket is a gap in a capture, not a loss", () => {
    const capture = makeDrop({
      reason: "PACKET_SOCK_ERROR",
      location: "packet_rcv",
      proto: "tcp",
      count: 50,
    });
    expect(examine(makeFacts({ drops: [capture] }))).toMatchObject([
      { id: "capture-buffer", severity: "info" },
    ]);
  });
});

describe("a program that does not read its TCP connection", () => {
  const probe = makeDrop({
    reason: "TCP_OLD_SEQUENCE",
    location: "tcp_validate_incoming",
    proto: "tcp",
    destinationPort: 8080,
    benign: true,
    count: 4,
  });

  test("is told by a window that stays closed and the peer's probes", () => {
    const network = makeNetwork({
      counters: { TcpExtTCPToZeroWindowAdv: 1 },
      delta: { listeners: [makeListener({ port: 8080 })] },
    });
    expect(examine(makeFacts({ drops: [probe], networks: [network], owners }))).toMatchObject([
      { id: "tcp-stalled-reader", severity: "suspicious", count: 1 },
    ]);
  });

  test("is not seen in windows that open again (a healthy transfer closes them a thousand times)", () => {
    const counters = {
      TcpExtTCPToZeroWindowAdv: 1461,
      TcpExtTCPFromZeroWindowAdv: 1461,
      TcpExtTCPWantZeroWindowAdv: 544,
    };
    expect(examine(makeFacts({ drops: [probe], networks: [makeNetwork({ counters })] }))).toEqual([]);
  });
});

describe("memory limits", () => {
  test("of a protocol that are reached are doubled, in the host's own namespace", () => {
    const network = makeNetwork({
      counters: { UdpMemErrors: 40, UdpInErrors: 40 },
      sysctls: { "net.ipv4.udp_mem": "100 200 300" },
      sockstat: { "UDP.mem": 299 },
    });
    const drops = [makeDrop({ reason: "PROTO_MEM", location: "__udp_enqueue_schedule_skb", count: 40 })];
    const [finding, ...rest] = examine(makeFacts({ drops, networks: [network] }));
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "protocol-memory", severity: "problem", count: 40 });
    expect(finding?.fix[0]).toBe("sysctl -w net.ipv4.udp_mem='200 400 600'");
  });
});
