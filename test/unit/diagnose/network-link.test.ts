import { describe, expect, test } from "vitest";
import { changeOf } from "../../../src/evidence/change.ts";
import { parseLinks } from "../../../src/evidence/net/parse/links.ts";
import type { FilterDelta, TrafficFilter } from "../../../src/evidence/net/types.ts";
import { examine, makeCpu, makeLink, makeQdisc, makeQueue, makeRoute, outline } from "./network-support.ts";
import { makeDrop, makeFacts, makeInterface, makeNetwork, NETNS } from "./support.ts";

const network = makeNetwork;
const refused = (count: number) =>
  makeDrop({ reason: "QDISC_DROP", location: "__dev_queue_xmit", count, bytes: 1000 * count });

describe("queues", () => {
  const facts = (queues: ReturnType<typeof makeQueue>[], count = 100) =>
    makeFacts({
      drops: [refused(count)],
      networks: [
        network({
          configuration: { links: [makeLink()], qdiscs: queues.map(({ qdisc }) => qdisc) },
          delta: { qdiscs: queues },
        }),
      ],
    });

  test("netem loses on purpose: a problem whatever the share, and it is taken away", () => {
    const queue = makeQueue(
      makeQdisc("netem", { options: { limit: "1000", "loss-random.loss": "0.3" } }),
      100,
      230,
    );
    const [finding] = examine(facts([queue]));
    expect(finding).toMatchObject({ id: "qdisc-netem", severity: "problem", count: 100 });
    expect(finding?.evidence.join()).toContain("netem: loss 30 %, limit 1,000 packets");
    expect(finding?.fix).toEqual(["ip netns exec web tc qdisc del dev eth0 root"]);
  });

  test("netem whose loss was taken away meanwhile still lost them on purpose", () => {
    const now = makeQdisc("netem", { options: { limit: "1000" } });
    const earlier = makeQdisc("netem", { options: { limit: "1000", "loss-random.loss": "0.3" } });
    const [finding] = examine(facts([{ ...makeQueue(now, 100, 230), earlier }]));
    expect(finding?.summary).toMatch(
      /drops packets: .* lost packets on purpose, until its settings were changed$/,
    );
    expect(finding?.evidence.join()).toContain("netem: loss 30 %, limit 1,000 packets");
    const [full] = examine(facts([{ ...makeQueue(now, 100, 230), earlier: now }]));
    expect(full?.summary).toContain("its queue is full");
  });

  test("fq_codel that keeps delay short is no problem, one whose limit is reached is", () => {
    const options = { limit: "1024", target: "4999", interval: "99999" };
    const queue = (extra: Record<string, number>) =>
      makeQueue(makeQdisc("fq_codel", { options }), 100, 2000, extra);
    expect(outline(facts([queue({ drop_overlimit: 0, ecn_mark: 5 })]))).toEqual([
      "qdisc-congested suspicious 100",
    ]);
    const [full] = examine(facts([queue({ drop_overlimit: 100 })]));
    expect(full).toMatchObject({ id: "qdisc-full", severity: "problem" });
    expect(full?.fix).toEqual([
      "ip netns exec web tc qdisc change dev eth0 root handle 8001: fq_codel limit 2048",
    ]);
  });

  test("a few lost of very many are a note", () => {
    const queue = makeQueue(makeQdisc("pfifo_fast", { handle: "0:" }), 20, 1_000_000);
    const [finding] = examine(facts([queue], 20));
    expect(finding).toMatchObject({ id: "qdisc-full", severity: "info" });
    expect(finding?.fix[0]).toBe("ip netns exec web ip link set dev eth0 txqueuelen 2048");
  });

  test("that are gone, or were read at one end only, are named all the same; one that nobody saw is said to be unknown", () => {
    const drop = makeDrop({ reason: "QDISC_DROP", location: "__dev_queue_xmit", count: 50 });
    const netem = makeQdisc("netem", { options: { "loss-random.loss": "0.3", limit: "1000" }, drops: 4 });
    const gone = { links: [], qdiscs: [netem], filters: [], refusals: [], policyRules: [] };
    const about = (fields: Parameters<typeof makeNetwork>[0]) =>
      examine(makeFacts({ drops: [drop], networks: [makeNetwork(fields)] }))[0];
    const removed = about({ delta: { gone } });
    expect(removed).toMatchObject({ id: "qdisc-netem", severity: "problem", count: 50 });
    expect(removed?.summary).toContain("(netem 8001:) dropped packets, and was taken away during the run");
    expect(removed?.fix).toEqual([expect.stringContaining("# nothing to do")]);
    const unread = about({ delta: { isEndUnread: true }, configuration: { qdiscs: [netem] } });
    expect(unread).toMatchObject({
      id: "qdisc-netem",
      fix: ["ip netns exec web tc qdisc del dev eth0 root"],
    });
    const unknown = about({ configuration: { qdiscs: [makeQdisc("noqueue", { handle: "0:" })] } });
    expect(unknown).toMatchObject({ id: "qdisc-unknown", severity: "suspicious", count: 50 });
  });

  test("the drops of an edge (clsact) are its filters', not a queue's", () => {
    const edge = makeQueue(makeQdisc("clsact", { handle: "ffff:", parent: "ffff:fff1" }), 100, 0);
    expect(outline(facts([edge]))).toEqual([]);
  });

  test("are found on kernels without reasons by the place of the free", () => {
    const queue = makeQueue(makeQdisc("pfifo", { options: { limit: "5" } }), 100, 10);
    const base = facts([queue]);
    expect(outline({ ...base, drops: base.drops.map((drop) => ({ ...drop, reason: null })) })).toEqual([
      "qdisc-full problem 100",
    ]);
  });
});

describe("a CPU's receive queue", () => {
  const host = (cpus: ReturnType<typeof makeCpu>[]) =>
    network({
      inode: 1,
      name: null,
      sysctls: { "net.core.netdev_max_backlog": "1000" },
      delta: { softnet: cpus },
    });
  const backlog = makeDrop({ reason: "CPU_BACKLOG", location: "enqueue_to_backlog", count: 300 });

  test("that is full is named with its CPU, its setting, and how to spread the work", () => {
    const networks = [host([makeCpu(0, 300), makeCpu(1, 0), makeCpu(2, 0), makeCpu(3, 0)]), network()];
    const [finding] = examine(makeFacts({ drops: [backlog], networks }));
    expect(finding).toMatchObject({
      id: "cpu-backlog",
      severity: "problem",
      count: 300,
      summary: "CPU 0 cannot keep up with received packets: its queue was full 300 times",
      fix: [
        "sysctl -w net.core.netdev_max_backlog=4096",
        "ip netns exec web sh -c 'echo f > /sys/class/net/eth0/queues/rx-0/rps_cpus'",
      ],
    });
    expect(finding?.evidence).toContain("CPU 0: dropped +300 of 100,000 processed");
  });

  test("speaks by its counter alone, but not when only some packets were asked for", () => {
    const networks = [host([makeCpu(0, 40), makeCpu(1, 40)])];
    expect(outline(makeFacts({ networks }))).toEqual(["cpu-backlog problem 80"]);
    expect(outline(makeFacts({ networks, isFiltered: true }))).toEqual([]);
    expect(outline(makeFacts({ networks: [host([makeCpu(0, 0), makeCpu(1, 0)])] }))).toEqual([]);
  });

  test("that cut back a single flow is told apart", () => {
    const networks = [host([makeCpu(0, 0, 70), makeCpu(1, 0)])];
    expect(outline(makeFacts({ drops: [{ ...backlog, count: 70 }], networks }))).toEqual([
      "cpu-flow-limit problem 70",
    ]);
  });
});

describe("what a device dropped without an event", () => {
  const facts = (fields: Parameters<typeof makeInterface>[0], drops: ReturnType<typeof makeDrop>[] = []) =>
    makeFacts({
      drops,
      networks: [
        network({ configuration: { links: [makeLink()] }, delta: { interfaces: [makeInterface(fields)] } }),
      ],
    });

  test("a full ring is a problem, with what the driver counts", () => {
    const lost = {
      rxDropped: changeOf(0, 400),
      details: { "rx.missed_errors": changeOf(0, 400) },
      driver: { rx_no_buffer_count: changeOf(0, 400), tx_timeout_count: changeOf(0, 1) },
    };
    const [finding] = examine(facts(lost));
    expect(finding).toMatchObject({ id: "link-ring-overflow", severity: "problem", count: 400 });
    expect(finding?.evidence).toContain("rx.missed_errors +400, rx_no_buffer_count +400");
    expect(finding?.check).toContain("ip netns exec web ethtool -g eth0");
    expect(finding?.fix[0]).toMatch(/^# a larger ring, up to what ethtool -g says/);
  });

  test.each([
    [
      "rx_out_of_buffer",
      1024,
      "link-ring-overflow",
      "its receive ring was full",
      /^ip netns exec web ethtool -G eth0 rx 8192$/,
    ],
    [
      "rx_out_of_buffer",
      8192,
      "link-ring-overflow",
      "its receive ring was full",
      /^# the ring is as long as the card takes/,
    ],
    ["rx_discards_phy", 1024, "link-drops", "could not hand them on", /lspci/],
    ["rx_buff_alloc_err", 1024, "link-drops", "no memory", /vm\.min_free_kbytes/],
  ])("%s with a ring of %i says what it points at, and what helps", (name, rx, id, why, fix) => {
    const ring = { rx, rxMost: 8192, tx: 1024, txMost: 8192 };
    const lost = { rxDropped: changeOf(0, 400), driver: { [name]: changeOf(0, 400) } };
    const configuration = { links: [makeLink()], driverStats: [{ dev: "eth0", stats: {}, ring }] };
    const [finding] = examine(
      makeFacts({
        networks: [network({ configuration, delta: { interfaces: [makeInterface(lost)] } })],
      }),
    );
    expect(finding).toMatchObject({ id, severity: "problem", count: 400 });
    expect(finding?.summary).toContain(why);
    expect(finding?.fix[0]).toMatch(fix);
  });

  test("is less what events explain, and nothing when they explain all", () => {
    const unknown = makeDrop({
      reason: "UNHANDLED_PROTO",
      location: "__netif_receive_skb_core.constprop.0",
      proto: "lldp",
      benign: true,
      count: 30,
    });
    expect(outline(facts({ rxDropped: changeOf(0, 30) }, [unknown]))).toEqual([]);
    expect(outline(facts({ rxDropped: changeOf(0, 30) }))).toEqual(["link-drops suspicious 30"]);
    expect(outline({ ...facts({ rxDropped: changeOf(0, 30) }), isFiltered: true })).toEqual([]);
    expect(outline(facts({ rxDropped: changeOf(0, 4) }))).toEqual(["link-drops info 4"]);
  });

  test("damaged frames point at the cable", () => {
    const errors = { rxErrors: changeOf(0, 60), details: { "rx.crc_errors": changeOf(0, 60) } };
    expect(outline(facts(errors))).toEqual(["link-errors problem 60"]);
    expect(outline(facts({ ...errors, rxOk: changeOf(0, 10_000_000) }))).toEqual(["link-errors info 60"]);
  });

  test("by XDP in the card's driver", () => {
    const program = { mode: "native" as const, id: 42, name: "ddos" };
    const networks = [
      network({
        configuration: { links: [makeLink({ xdp: [program] })] },
        delta: {
          interfaces: [
            makeInterface({
              rxDropped: changeOf(0, 900),
              driver: { rx_xdp_drop: changeOf(0, 900), rx_queue_0_xdp_drop: changeOf(0, 900) },
            }),
          ],
        },
      }),
    ];
    const [finding, ...rest] = examine(makeFacts({ networks }));
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({
      id: "xdp-drop",
      severity: "problem",
      count: 900,
      summary: "The XDP program ddos (native) on eth0 drops packets: 900, without any event",
    });
    expect(finding?.check).toContain("bpftool prog show id 42");
  });
});

describe("tc filters", () => {
  const filter = (
    pref: number,
    actions: TrafficFilter["actions"],
    bpf: TrafficFilter["bpf"] = null,
  ): TrafficFilter => ({
    dev: "eth0",
    direction: "ingress",
    kind: bpf === null ? "flower" : "bpf",
    protocol: "ip",
    pref,
    chain: 0,
    handle: "0x1",
    text: "{}",
    actions,
    bpf,
  });
  const action = (kind: string, control: string) => ({
    kind,
    control,
    chance: null,
    index: 1,
    packets: 500,
    drops: 100,
    overlimits: 0,
  });
  const moved = (pref: number, name: string, control: string, drops: number): FilterDelta => ({
    netns: { inode: NETNS, name: "web" },
    dev: "eth0",
    direction: "ingress",
    pref,
    handle: "0x1",
    action: name,
    control,
    packets: changeOf(0, 500),
    drops: changeOf(0, drops),
  });
  const drop = makeDrop({ reason: "TC_INGRESS", location: "sch_handle_ingress", count: 100 });
  const facts = (filters: TrafficFilter[], deltas: FilterDelta[]) =>
    makeFacts({
      drops: [drop],
      networks: [network({ configuration: { links: [makeLink()], filters }, delta: { filters: deltas } })],
    });

  test("the one whose action counted is named, others are left alone", () => {
    const filters = [filter(1, [action("gact", "drop")]), filter(2, [action("police", "reclassify")])];
    const [finding] = examine(
      facts(filters, [moved(1, "gact", "drop", 0), moved(2, "police", "reclassify", 100)]),
    );
    expect(finding).toMatchObject({
      id: "tc-police",
      severity: "problem",
      summary: "A tc filter on eth0 (ingress, pref 2, flower) drops what is above its rate: 100",
      fix: ["ip netns exec web tc filter del dev eth0 ingress protocol ip pref 2 handle 0x1 flower"],
    });
  });

  test("several that count nothing are suspects, and nothing is deleted", () => {
    const program = { id: 7, name: "policy", direct: true };
    const [finding] = examine(facts([filter(1, [], program), filter(2, [], { ...program, id: 8 })], []));
    expect(finding).toMatchObject({ id: "tc-filter", severity: "suspicious", fix: [] });
    expect(finding?.evidence.join()).toContain("program id 7 policy");
  });

  test("none at all: a program that tc does not show", () => {
    const [finding] = examine(facts([], []));
    expect(finding).toMatchObject({ severity: "suspicious", fix: [] });
    expect(finding?.check).toContain("ip netns exec web bpftool net show dev eth0");
  });
});

describe("bridge ports", () => {
  test("carry their state from what ip prints", () => {
    const { value: links } = parseLinks(
      [
        {
          ifindex: 2,
          ifname: "eth0",
          flags: ["UP", "LOWER_UP"],
          link_type: "ether",
          master: "br0",
          linkinfo: {
            info_slave_kind: "bridge",
            info_slave_data: { state: "blocking", priority: 32, cost: 2 },
          },
        },
        {
          ifindex: 3,
          ifname: "br0",
          flags: ["UP", "LOWER_UP"],
          link_type: "ether",
          linkinfo: { info_kind: "bridge", info_data: { forward_delay: 1500, stp_state: 1 } },
        },
      ],
      new Map(),
    );
    expect(links[0]?.info).toEqual({ "port.state": "blocking", "port.priority": "32", "port.cost": "2" });
    const drops = [makeDrop({ reason: "BRIDGE_INGRESS_STP_STATE", location: "br_handle_frame", count: 50 })];
    const [finding] = examine(makeFacts({ drops, networks: [network({ configuration: { links } })] }));
    expect(finding).toMatchObject({ id: "bridge-port-blocked", severity: "info", fix: [] });
    expect(finding?.summary).toContain("Port eth0 of bridge br0 does not forward (spanning tree: blocking)");
  });
});

test("names from the system are quoted in commands", () => {
  const dev = "e$(id)'x";
  const links = [makeLink({ name: dev, flags: ["BROADCAST"], operstate: "DOWN" })];
  const drops = [makeDrop({ reason: "DEV_READY", location: "enqueue_to_backlog", dev, count: 9 })];
  const [finding] = examine(makeFacts({ drops, networks: [network({ configuration: { links } })] }));
  expect(finding).toMatchObject({ id: "link-down", severity: "problem" });
  expect(finding?.fix).toEqual([String.raw`ip netns exec web ip link set dev 'e$(id)'\''x' up`]);
});

test("frames for an address of this host with another MAC address or VLAN tag are worth a look, others are normal", () => {
  const drop = makeDrop({ reason: "OTHERHOST", location: "ip_rcv_core", benign: true, count: 40 });
  const facts = (address: string, ...others: ReturnType<typeof network>[]) => {
    const local = makeRoute(address, { type: "local", table: "local" });
    const own = network({ configuration: { links: [makeLink()], routes: [local] } });
    return makeFacts({ drops: [drop], networks: [own, ...others] });
  };
  expect(outline(facts("10.0.0.3"))).toEqual([]);
  expect(outline(facts("10.0.0.2"))).toEqual(["other-mac suspicious 40"]);
  const entry = { address: "10.0.0.2", dev: "eth1", lladdr: "02:00:00:00:00:55", state: ["PERMANENT"] };
  const router = network({
    inode: 4_026_532_999,
    name: "router",
    configuration: { neighbours: [{ ...entry, probes: null, proxy: false }] },
  });
  const [proved] = examine(facts("10.0.0.2", router));
  expect(proved).toMatchObject({ id: "other-mac", severity: "problem" });
  expect(proved?.fix).toEqual(["ip netns exec router ip neigh del 10.0.0.2 dev eth1"]);
});

test("a bridge that is down is not blamed on spanning tree", () => {
  const port = makeLink({ master: "br0", info: { "port.state": "disabled" } });
  const bridge = makeLink({ index: 3, name: "br0", kind: "bridge", physical: false, flags: ["BROADCAST"] });
  const drop = makeDrop({ reason: "BRIDGE_INGRESS_STP_STATE", location: "br_handle_frame", count: 60 });
  const [finding] = examine(
    makeFacts({ drops: [drop], networks: [network({ configuration: { links: [port, bridge] } })] }),
  );
  expect(finding).toMatchObject({ id: "bridge-down", severity: "problem", count: 60 });
  expect(finding?.fix).toEqual(["ip netns exec web ip link set dev br0 up"]);
});
