import { describe, expect, it } from "vitest";
import { parseDriverStats, parseRings } from "../../../src/evidence/net/parse/ethtool.ts";
import { parseFilters } from "../../../src/evidence/net/parse/filters.ts";
import { filterQuestions, parseQdiscs } from "../../../src/evidence/net/parse/qdiscs.ts";
import { parseSysctls } from "../../../src/evidence/net/parse/sysctls.ts";
import { AFTER, DEBIAN13, readSection } from "./fixtures.ts";

describe("qdiscs", () => {
  const qdiscs = parseQdiscs(readSection(DEBIAN13, "a", "tc qdisc")).value ?? [];
  const find = (dev: string) => qdiscs.find((qdisc) => qdisc.dev === dev && qdisc.parent === "root");

  it("reads limits, rates and loss of every kind", () => {
    expect(find("d1")).toMatchObject({ kind: "tbf", options: { rate: "125000", lat: "50000" } });
    expect(find("d2")).toMatchObject({
      kind: "netem",
      drops: 8,
      options: { limit: "500", "loss-random.loss": "0.3" },
    });
    expect(find("d3")).toMatchObject({ kind: "netem", options: { "loss-gemodel.p": "0.01" } });
    expect(find("d4")).toMatchObject({
      kind: "fq_codel",
      options: { limit: "100" },
      extra: { drop_overlimit: 0 },
    });
    expect(find("d6")).toMatchObject({ kind: "cake", options: { bandwidth: "1250000" } });
    expect(find("d8")).toMatchObject({ kind: "red", extra: { early: 0, pdrop: 0 } });
    expect(find("d12")).toMatchObject({ kind: "pfifo", options: { limit: "5" } });
    expect(qdiscs).toContainEqual(
      expect.objectContaining({ dev: "d5", kind: "pfifo", parent: "1:10", options: { limit: "7" } }),
    );
  });

  it("asks for filters only where some can be", () => {
    expect(filterQuestions(qdiscs)).toEqual([
      { dev: "d5", direction: "classify" },
      { dev: "d10", direction: "ingress" },
      { dev: "d10", direction: "egress" },
      { dev: "d11", direction: "ingress" },
      { dev: "d13", direction: "classify" },
    ]);
  });

  it("is null for the text form of an old tc, and counts odd items", () => {
    expect(parseQdiscs("qdisc noqueue 0: dev lo root refcnt 2\n")).toEqual({ value: null, unread: 1 });
    expect(parseQdiscs('[3, {"kind": "x"}, {"kind": "x", "dev": "a"}]')).toMatchObject({
      value: [{ dev: "a" }],
      unread: 2,
    });
    expect(parseQdiscs("")).toEqual({ value: [], unread: 0 });
  });
});

const parse = (section: string, direction: "ingress" | "egress" | "classify" = "ingress") =>
  parseFilters(readSection(DEBIAN13, "a", section), { dev: "d", direction }).value;

describe("filters", () => {
  it("reads actions that drop, always or by chance", () => {
    expect(parse("tc filter ingress d10")).toMatchObject([
      { kind: "flower", actions: [{ kind: "gact", control: "drop", chance: null }] },
    ]);
    expect(parse("tc filter egress d10", "egress")).toMatchObject([
      { kind: "u32", actions: [{ control: "drop", chance: { control: "drop", every: 3 } }] },
      { kind: "matchall", actions: [{ kind: "police", control: "drop", packets: 2 }] },
    ]);
  });

  it("reads a police action of the old syntax, which stands among the options", () => {
    expect(parse("tc filter classify d13", "classify")).toMatchObject([
      {
        kind: "u32",
        protocol: "ip",
        pref: 1,
        actions: [{ kind: "police", control: "drop", drops: 0, packets: 0 }],
      },
    ]);
  });

  it("leaves out headers and hash tables", () => {
    expect(parse("tc filter classify d5", "classify")).toMatchObject([{ handle: "800::800", actions: [] }]);
  });

  it("reads the recorded redirect", () => {
    const text = readSection(AFTER, "evsrv", "tc filter ingress s0");
    expect(parseFilters(text, { dev: "s0", direction: "ingress" }).value).toMatchObject([
      { actions: [{ kind: "mirred", control: "stolen", packets: 20 }] },
    ]);
  });

  it("names the program of a bpf filter", () => {
    const options = {
      handle: "0x1",
      bpf_name: "cls:[*fsobj]",
      "direct-action": true,
      prog: { id: 9, name: "shot" },
    };
    const text = JSON.stringify([{ protocol: "all", pref: 49_152, kind: "bpf", chain: 0, options }]);
    expect(parseFilters(text, { dev: "a", direction: "egress" }).value).toMatchObject([
      { bpf: { id: 9, name: "shot", direct: true }, actions: [], handle: "0x1" },
    ]);
  });

  it("counts what is no filter", () => {
    expect(parseFilters("filter protocol ip", { dev: "a", direction: "egress" })).toEqual({
      value: [],
      unread: 1,
    });
    expect(parseFilters("[1]", { dev: "a", direction: "egress" })).toEqual({ value: [], unread: 1 });
  });
});

/** Names that these drivers print; those of virtio_net and veth were recorded on 6.18. */
const DRIVERS = {
  virtio_net: {
    loss: ["rx_drops", "rx_xdp_drops", "tx_xdp_tx_drops", "tx_tx_timeouts", "rx0_drops"],
    work: ["rx_kicks", "rx_xdp_packets", "rx0_kicks", "tx0_kicks"],
  },
  veth: {
    loss: [
      "rx_queue_0_drops",
      "rx_queue_0_xdp_drops",
      "rx_queue_0_xdp_tx_errors",
      "tx_queue_0_xdp_xmit_errors",
    ],
    work: ["peer_ifindex", "rx_queue_0_xdp_packets", "rx_pp_alloc_fast", "rx_pp_recycle_ring_full"],
  },
  ixgbe: {
    loss: [
      "rx_missed_errors",
      "rx_no_buffer_count",
      "rx_no_dma_resources",
      "alloc_rx_buff_failed",
      "rx_crc_errors",
    ],
    work: [
      "rx_pkts_nic",
      "alloc_rx_page",
      "fdir_match",
      "fdir_miss",
      "fdir_overflow",
      "tx_restart_queue",
      "rx_flow_control_xon",
    ],
  },
  mlx5: {
    loss: ["rx_out_of_buffer", "rx_discards_phy", "rx_buff_alloc_err", "outbound_pci_buffer_overflow"],
    work: [
      "rx_cache_full",
      "rx_pp_alloc_slow",
      "rx_pp_recycle_cache_full",
      "tx_recover",
      "rx_pause_ctrl_phy",
      "tx_xmit_more",
      "tx_queue_stopped",
    ],
  },
  ena: {
    loss: [
      "bw_in_allowance_exceeded",
      "conntrack_allowance_exceeded",
      "rx_overruns",
      "queue_0_rx_empty_rx_ring",
      "queue_0_rx_page_alloc_fail",
    ],
    work: [
      "queue_0_rx_cnt",
      "queue_0_rx_rx_copybreak_pkt",
      "queue_0_tx_queue_stop",
      "conntrack_allowance_available",
    ],
  },
};

describe("ethtool -g", () => {
  const text = (now: string) =>
    `Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\nRX Jumbo:\tn/a\nTX:\t\tn/a\nCurrent hardware settings:\nRX:\t\t${now}\nRX Mini:\tn/a\nTX:\t\tn/a\nRX Buf Len:\t\tn/a\n`;

  it("tells the rings' lengths and what they can have", () => {
    const value = { rx: 512, rxMost: 4096, tx: null, txMost: null };
    expect(parseRings(text("512"))).toEqual({ value, unread: 0 });
  });

  it("counts an output without any", () => {
    expect(parseRings(text("n/a"))).toEqual({ value: null, unread: 1 });
    expect(parseRings("")).toEqual({ value: null, unread: 1 });
  });
});

describe("ethtool -S", () => {
  it("keeps what sounds like loss", () => {
    const text =
      "NIC statistics:\n     rx_packets: 5\n     rx_missed_errors: 7\n     rx0_drops: 1\n     [0]: rx_discards: 2\n";
    expect(parseDriverStats(text)).toEqual({
      value: { rx_missed_errors: 7, rx0_drops: 1, "[0]: rx_discards": 2 },
      unread: 0,
    });
  });

  it.each(Object.entries(DRIVERS))("takes loss, and no ordinary work, for loss: %s", (_, { loss, work }) => {
    const lines = [...loss, ...work].map((name, index) => `     ${name}: ${index + 1}\n`);
    const { value, unread } = parseDriverStats(`NIC statistics:\n${lines.join("")}`);
    expect(Object.keys(value)).toEqual(loss);
    expect(unread).toBe(0);
  });

  it("counts lines without a number", () => {
    expect(parseDriverStats("rx_drops: many\nnonsense\n")).toEqual({ value: {}, unread: 2 });
  });
});

describe("sysctls", () => {
  it("reads one value a file, fields joined by one blank", () => {
    const { value, unread } = parseSysctls(readSection(AFTER, "evsrv", "sysctl"));
    expect(unread).toBe(0);
    expect(value).toMatchObject({
      "net.ipv4.conf.s0.rp_filter": "1",
      "net.ipv4.ip_forward": "0",
      "net.ipv6.conf.s0.disable_ipv6": "0",
      "net.core.somaxconn": expect.stringMatching(/^\d+$/),
      "net.ipv4.tcp_rmem": expect.stringMatching(/^\d+ \d+ \d+$/),
    });
  });

  it("writes a dot in a device name as sysctl does", () => {
    for (const path of ["/proc/sys/net/ipv4/conf/eth0.7/rp_filter", "ipv4/conf/eth0.7/rp_filter"])
      expect(parseSysctls(`${path}:2\n`).value).toEqual({ "net.ipv4.conf.eth0/7.rp_filter": "2" });
  });

  it("counts lines of other files", () => {
    expect(parseSysctls("/etc/passwd:root\ngrep: x\n")).toEqual({ value: {}, unread: 2 });
  });
});
