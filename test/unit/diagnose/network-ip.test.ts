import { describe, expect, test } from "vitest";
import { changeOf } from "../../../src/evidence/change.ts";
import type { NetDelta } from "../../../src/evidence/net/types.ts";
import { examine, makeLink, makePolicyRule, makeRoute, outline } from "./network-support.ts";
import { makeDrop, makeFacts, makeInterface, makeNetwork, NETNS, makeDatagramSocket } from "./support.ts";

const network = makeNetwork;

describe("the reverse path filter", () => {
  const sysctls = { "net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.eth0/7.rp_filter": "0" };
  const routes = [makeRoute("default", { dev: "eth9", gateway: "10.9.0.1" })];
  const drop = makeDrop({ reason: "IP_RPFILTER", location: "ip_rcv_finish_core", dev: "eth0.7", count: 20 });

  test("writes the dot of a VLAN device as sysctl wants it", () => {
    const [finding] = examine(
      makeFacts({
        drops: [drop],
        networks: [
          network({ sysctls, configuration: { routes }, counters: { TcpExtIPReversePathFilter: 20 } }),
        ],
      }),
    );
    expect(finding?.fix).toEqual(["ip netns exec web sysctl -w net.ipv4.conf.eth0/7.rp_filter=2"]);
    expect(finding?.evidence[1]).toBe("rp_filter on eth0.7 is 1 (strict): the larger of all=1 and eth0.7=0");
    expect(finding?.summary).toContain("leaves through eth9 (route default via 10.9.0.1 dev eth9)");
  });

  test("is recognised by its counter on kernels that give no reasons", () => {
    const facts = (moved: number) =>
      makeFacts({
        drops: [{ ...drop, reason: null }],
        hasReason: () => false,
        networks: [network({ counters: moved > 0 ? { TcpExtIPReversePathFilter: moved } : {} })],
        describe: () => ({ meaning: "", class: "loss", reasons: ["IP_RPFILTER"], check: [], fix: [] }),
      });
    expect(outline(facts(20))).toEqual(["rp-filter problem 20"]);
    expect(outline(facts(0))).toEqual([]);
  });

  test("in a namespace nobody can enter any more gives its commands as advice, not for the host", () => {
    const [finding] = examine(makeFacts({ drops: [drop] }));
    expect(finding?.check.length).toBeGreaterThan(0);
    for (const command of finding?.check ?? []) expect(command).toMatch(/^# inside namespace \d+: /);
  });
});

describe("routes", () => {
  test("of IPv6 that are not there do not worry a host that has no IPv6", () => {
    const facts = (routes: ReturnType<typeof makeRoute>[]) =>
      makeFacts({ networks: [network({ counters: { Ip6OutNoRoutes: 500 }, configuration: { routes } })] });
    expect(outline(facts([makeRoute("default")]))).toEqual(["no-route-out info 500"]);
    const elsewhere = makeRoute("default", { family: "ipv6", gateway: "fe80::1" });
    expect(outline(facts([elsewhere]))).toEqual(["no-route-out problem 500"]);
  });

  test("are not called missing from counters when only some packets were asked for", () => {
    const networks = [network({ counters: { IpOutNoRoutes: 50, IpReasmFails: 9 } })];
    expect(outline(makeFacts({ networks, isFiltered: true }))).toEqual([]);
    expect(outline(makeFacts({ networks }))).toEqual(["no-route-out problem 50", "fragments-lost problem 9"]);
  });

  test("that throw packets away are found on any kernel: by the free in ip_error, whatever the reason", () => {
    const routes = [makeRoute("10.0.0.0/24", { type: "blackhole", dev: null })];
    for (const reason of [null, "NOT_SPECIFIED", "IP_INNOROUTES"]) {
      const drops = [
        makeDrop({ reason, location: reason === "IP_INNOROUTES" ? null : "ip_error", count: 5 }),
      ];
      expect(outline(makeFacts({ drops, networks: [network({ configuration: { routes } })] }))).toEqual([
        "route-blackhole problem 5",
      ]);
    }
  });
});

describe("fragments", () => {
  test("that never became whole: pieces missing", () => {
    const drops = [makeDrop({ reason: "FRAG_REASM_TIMEOUT", location: "ip_expire", count: 12 })];
    const networks = [
      network({
        counters: { IpReasmFails: 12, IpReasmTimeout: 12, IpReasmReqds: 24 },
        sockstat: { "FRAG.memory": 4096 },
        sysctls: { "net.ipv4.ipfrag_high_thresh": "4194304", "net.ipv4.ipfrag_time": "30" },
      }),
    ];
    const [finding] = examine(makeFacts({ drops, networks }));
    expect(finding).toMatchObject({ id: "fragments-lost", severity: "problem", count: 12 });
    expect(finding?.summary).toContain("12 could not be put together, pieces never came");
    expect(finding?.evidence).toContain("a datagram waits 30 s for its pieces (net.ipv4.ipfrag_time)");
  });

  test("that found no memory: the limit is raised", () => {
    const networks = [
      network({
        counters: { IpReasmFails: 900 },
        sockstat: { "FRAG.memory": 4_190_000 },
        sysctls: { "net.ipv4.ipfrag_high_thresh": "4194304" },
      }),
    ];
    const [finding] = examine(makeFacts({ networks }));
    expect(finding?.summary).toContain("the memory for putting them together is full");
    expect(finding?.fix).toEqual(["ip netns exec web sysctl -w net.ipv4.ipfrag_high_thresh=16777216"]);
  });
});

test("a full table of neighbours is told by the host's own count, with larger limits", () => {
  const host = network({
    inode: 1,
    name: null,
    sysctls: { "net.ipv4.neigh.default.gc_thresh3": "1024" },
    delta: { arp: { table_fulls: changeOf(0, 40) }, ndisc: {} },
    counterState: { host: { softnet: null, arp: { entries: 1024 }, ndisc: null, routing: null } },
  });
  const facts = makeFacts({
    drops: [makeDrop({ reason: "NEIGH_CREATEFAIL", location: "ip_finish_output2", count: 40 })],
    networks: [host, network()],
    places: new Map([
      [1, { inode: 1, name: null, kind: "host" as const, path: null, pid: null }],
      [NETNS, { inode: NETNS, name: "web", kind: "named" as const, path: "/run/netns/web", pid: null }],
    ]),
    kernelLog: ["neighbour: arp_cache: neighbor table overflow!"],
  });
  const [finding] = examine(facts);
  expect(finding).toMatchObject({ id: "neighbour-table-full", severity: "problem", count: 40 });
  expect(finding?.evidence).toContain("at most 1,024 entries (gc_thresh3), 1,024 at the end");
  expect(finding?.fix[0]).toContain("net.ipv4.neigh.default.gc_thresh3=4096");
});

describe("MTU", () => {
  const drop = makeDrop({
    reason: "PKT_TOO_BIG",
    location: "ip_forward",
    dev: "eth0",
    bytes: 4500,
    count: 3,
  });
  const configuration = {
    links: [makeLink(), makeLink({ name: "wg0", index: 3, kind: "wireguard", type: "none", mtu: 1420 })],
    routes: [makeRoute("10.0.0.2", { dev: "wg0" })],
  };
  test("a flow that loses a few packets is path MTU discovery at work; one that goes on does not learn", () => {
    const facts = (count: number) =>
      makeFacts({ drops: [{ ...drop, count, bytes: 1500 * count }], networks: [network({ configuration })] });
    expect(outline(facts(3))).toEqual(["mtu-too-big info 3"]);
    const [finding] = examine(facts(30));
    expect(finding).toMatchObject({ severity: "problem", count: 30 });
    expect(finding?.summary).toBe(
      "30 packets of 1,500 bytes to 10.0.0.2 did not fit into wg0 (MTU 1420) and must not be cut",
    );
    expect(finding?.evidence).toContain("no ICMP message went back: the sender cannot know");
  });

  test("too small for IP is a matter of devices that carry IP and are used", () => {
    const facts = (fields: Parameters<typeof makeLink>[0], used = true) =>
      makeFacts({
        networks: [
          network({
            configuration: { links: [makeLink({ mtu: 100, ...fields })] },
            delta: { interfaces: used ? [makeInterface()] : [] },
          }),
        ],
      });
    expect(outline(facts({}))).toEqual(["mtu-low suspicious 0"]);
    expect(outline(facts({ mtu: 1200 }))).toEqual(["mtu-low info 0"]);
    expect(outline(facts({ type: "can", mtu: 72 }))).toEqual([]);
    expect(outline(facts({ flags: [] }))).toEqual([]);
    expect(outline(facts({}, false))).toEqual([]);
  });
});

test("a healthy host gives no finding, whatever the names of its devices", () => {
  const links = [
    makeLink(),
    makeLink({ name: "lo", type: "loopback", mtu: 65_536, flags: ["LOOPBACK", "UP", "LOWER_UP"] }),
    makeLink({ name: "$(reboot)", mtu: 1420, type: "none", kind: "wireguard" }),
    makeLink({ name: "eth9", flags: ["BROADCAST"], operstate: "DOWN" }),
  ];
  const benign = makeDrop({
    reason: "QUEUE_PURGE",
    location: "skb_queue_purge_reason",
    benign: true,
    count: 500,
  });
  const networks = [
    network({
      configuration: { links, routes: [makeRoute("default", { gateway: "10.0.0.1" })] },
      delta: { interfaces: links.map(({ name }) => makeInterface({ name })) },
      counters: { IpInReceives: 5000, TcpRetransSegs: 3, IcmpInDestUnreachs: 4 },
    }),
  ];
  expect(examine(makeFacts({ drops: [benign], networks }))).toEqual([]);
});

describe("policy rules", () => {
  const drop = makeDrop({
    reason: "NOT_SPECIFIED",
    location: "ip_error",
    destination: "10.2.0.2",
    destinationPort: 4444,
    count: 40,
  });
  const facts = (other: Record<string, string>, fwmark: string | null = null) =>
    makeFacts({
      drops: [drop],
      networks: [
        network({
          configuration: {
            routes: [makeRoute("10.2.0.0/24")],
            policyRules: [
              makePolicyRule(100, null, { action: "prohibit", fwmark, other }),
              makePolicyRule(32_766, "main"),
            ],
          },
        }),
      ],
    });

  test("that ask for a port are the cause of what they refuse", () => {
    expect(outline(facts({ dport: "4444" }))).toEqual(["route-prohibit problem 40"]);
    expect(outline(facts({ dport: "4445" }))).toEqual([]);
  });

  test("that ask for a mark are a guess", () => {
    expect(outline(facts({}, "0x1"))).toEqual(["route-prohibit suspicious 40"]);
  });
});

test("fragments of each family are told with its own counters and settings", () => {
  const networks = [
    network({
      counters: { IpReasmFails: 20, Ip6ReasmFails: 30 },
      sysctls: { "net.ipv6.ip6frag_high_thresh": "20000", "net.ipv4.ipfrag_high_thresh": "4194304" },
      sockstat: { "FRAG6.memory": 19_900, "FRAG.memory": 0 },
    }),
  ];
  const found = examine(makeFacts({ networks }));
  expect(found.map(({ count, fix }) => [count, fix[0]])).toEqual([
    [30, "ip netns exec web sysctl -w net.ipv6.ip6frag_high_thresh=4194304"],
    [20, "# avoid fragments: let the sender's datagrams fit the path MTU"],
  ]);
  expect(found[1]?.check).toContain(
    "ip netns exec web sysctl net.ipv4.ipfrag_high_thresh net.ipv4.ipfrag_time",
  );
});

test("IP options that are refused are told on kernels that name everything else that ends there", () => {
  const drop = makeDrop({ reason: "NOT_SPECIFIED", location: "ip_rcv_finish_core", count: 30 });
  expect(outline(makeFacts({ drops: [drop], networks: [network()] }))).toEqual(["ip-options suspicious 30"]);
  expect(outline(makeFacts({ drops: [drop], networks: [network()], hasReason: () => false }))).toEqual([]);
});

test("a firewall rule that takes the ICMP messages away is named where packets are too big", () => {
  const drops = [
    makeDrop({ reason: "PKT_TOO_BIG", location: "ip_forward", proto: "tcp", count: 12 }),
    makeDrop({
      reason: "NETFILTER_DROP",
      hook: "OUTPUT",
      proto: "icmp",
      icmp: { type: 3, code: 4 },
      count: 12,
    }),
  ];
  const [finding] = examine(makeFacts({ drops, networks: [network()] })).filter(
    ({ id }) => id === "mtu-too-big",
  );
  expect(finding?.evidence.join("\n")).toContain("12 of these messages did not get out");
});

describe("neighbours", () => {
  const drop = makeDrop({
    reason: "NOT_SPECIFIED",
    location: "neigh_invalidate",
    source: "fd00::1",
    destination: "fd00::2",
    count: 30,
  });

  test("over a link without carrier are the link's finding", () => {
    const link = makeLink({ flags: ["UP", "NO-CARRIER"] });
    const networks = [network({ configuration: { links: [link], routes: [] } })];
    expect(outline(makeFacts({ drops: [drop], networks }))).toEqual(["link-no-carrier problem 30"]);
  });

  test("of IPv6 behind a veth whose other end has an MTU without IPv6: the MTU is the cause", () => {
    const end = (index: number, mtu: number, peerIndex: number, peerNsid: number) =>
      makeLink({ index, kind: "veth", physical: false, mtu, peerIndex, peerNsid, peerNetns: "far" });
    const far = network({
      inode: 4_026_532_999,
      name: "far",
      configuration: { links: [{ ...end(3, 1000, 2, 0), peerNetns: "web" }] },
    });
    const near = network({ configuration: { links: [end(2, 1500, 3, 0)], routes: [] } });
    const [finding] = examine(makeFacts({ drops: [drop], networks: [near, far] }));
    expect(finding).toMatchObject({ id: "neighbour-unresolved", severity: "problem" });
    expect(finding?.fix[0]).toBe("ip netns exec far ip link set dev eth0 mtu 1500");
  });
});

describe("what a socket or a setting is in the way of", () => {
  const group = makeDrop({
    reason: "NOT_SPECIFIED",
    location: "ip_rcv_finish_core",
    destination: "239.1.2.4",
    destinationPort: 5007,
    count: 40,
  });
  const hold = (localPort: number, comm: string) =>
    makeFacts({
      drops: [group],
      networks: [network({ counterState: { datagramSockets: [makeDatagramSocket({ localPort })] } })],
      owners: new Map([[77, { pid: 12, comm }]]),
    });

  test("a program that holds the port of a group but has not joined it is named", () => {
    const [finding] = examine(hold(5007, "feed"));
    expect(finding).toMatchObject({ id: "multicast-not-joined", severity: "suspicious" });
    expect(finding?.summary).toContain(
      "feed (pid 12) holds their port 5007 but has not joined the group on eth0",
    );
    expect(outline(hold(5008, "feed"))).toEqual(["multicast-not-joined info 40"]);
  });

  test("what such a program calls itself cannot end the line of the advice", () => {
    const [finding] = examine(hold(5007, "x\nreboot #"));
    expect(finding?.fix).toHaveLength(1);
    expect(finding?.fix.join("")).not.toContain("\n");
  });

  test("arp_ignore explains why nobody answers for an address of another device", () => {
    const far = network({
      inode: NETNS + 1,
      name: "far",
      sysctls: { "net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.eth0.arp_ignore": "0" },
      configuration: {
        links: [makeLink({ name: "lo", type: "loopback" }), makeLink()],
        routes: [makeRoute("10.0.0.77", { type: "local", table: "local", dev: "lo" })],
      },
    });
    const drop = makeDrop({
      reason: "NEIGH_FAILED",
      location: "neigh_invalidate",
      destination: "10.0.0.77",
      count: 6,
    });
    const [finding] = examine(
      makeFacts({ drops: [drop], networks: [network({ configuration: { links: [makeLink()] } }), far] }),
    );
    expect(finding?.evidence.join()).toContain(
      "net.ipv4.conf.all.arp_ignore is 1: eth0 does not answer for addresses of other devices",
    );
    expect(finding?.fix).toEqual(["ip netns exec far sysctl -w net.ipv4.conf.all.arp_ignore=0"]);
  });

  test("address translation that leads packets where they cannot go is told", () => {
    const rule = {
      tool: "iptables",
      text: "-A PREROUTING -p udp -j DNAT --to-destination 10.9.9.9:53",
      verdicts: [{ kind: "other", target: "DNAT" }],
      packets: changeOf(0, 3),
    } as unknown as NetDelta["rules"][number];
    const [finding] = examine(
      makeFacts({
        drops: [
          makeDrop({ reason: "IP_INADDRERRORS", location: "ip_error", destination: "10.9.9.9", count: 30 }),
        ],
        networks: [network({ sysctls: { "net.ipv4.conf.all.forwarding": "0" }, delta: { rules: [rule] } })],
      }),
    );
    expect(finding?.id).toBe("forwarding-off");
    expect(finding?.evidence.join()).toContain(
      "address translation sends packets to 10.9.9.9: -A PREROUTING -p udp -j DNAT --to-destination 10.9.9.9:53 (+3)",
    );
  });
});
