import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stackKeys } from "../../../probes/drops/drop-facts.ts";
import { buildProfiles, parseSample } from "../../../probes/drops/stacks.ts";
import { apportion, createStackBook, ownPart } from "../../../src/reduce/stacks.ts";

const STACK = "\n        sk_skb_reason_drop+144\n        nft_do_chain+1135\n        ip_local_deliver+281\n";

describe("stack samples", () => {
  test("a record of 6.18 with bpftrace 0.17", () => {
    const text = `S\t${12n | (17n << 32n) | (2n << 40n) | (0x0800n << 48n)}\t18446744071595353087\t7\t4026532246\tvxb\tnft_do_chain+1135\t${STACK}`;
    expect(parseSample(text)).toEqual({
      reason: 12,
      site: 0x81fbe3ff,
      ifindex: 7,
      netns: 4_026_532_246,
      dev: "vxb",
      symbol: "nft_do_chain",
      what: 12n | (17n << 32n) | (2n << 40n) | (0x0800n << 48n),
      frames: ["ip_local_deliver", "nft_do_chain", "sk_skb_reason_drop"],
    });
  });
  test("through a veth the functions of the packet that was on its way before do not count", () => {
    const sent = ["udp_sendmsg", "__neigh_event_send", "arp_solicit", "veth_xmit", "do_softirq"];
    const received = ["ip_rcv", "ip_rcv_finish", "ip_error", "kfree_skb_reason"];
    expect(ownPart([...sent, "handle_softirqs", "net_rx_action", "process_backlog", ...received])).toEqual(
      received,
    );
    expect(ownPart(["udp_sendmsg", "__dev_queue_xmit"])).toEqual(["udp_sendmsg", "__dev_queue_xmit"]);
    const timer = ["handle_softirqs", "run_timer_softirq", "neigh_timer_handler", "neigh_invalidate"];
    expect(ownPart(timer)).toEqual(timer.slice(1));
  });

  test("any text is a sample or null", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseSample(`S\t${text}`)));
    expect(parseSample("S\t1\t2")).toBeNull();
  });
});

describe("weights", () => {
  test("parts add up to the total, in proportion", () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.array(fc.nat(1000), { minLength: 1, maxLength: 50 }), (total, shares) => {
        const parts = apportion(total, shares);
        expect(parts.reduce((a, b) => a + b, 0)).toBe(total);
        const sum = shares.reduce((a, b) => a + b, 0);
        if (sum > 0)
          for (const [index, part] of parts.entries())
            expect(Math.abs(part - (total * (shares[index] ?? 0)) / sum)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("profiles weigh exactly what was counted, also where no stack was sampled", () => {
    const book = createStackBook();
    const keys = stackKeys({ reason: 12, site: 1, ifindex: 7, netns: 9 });
    book.add(keys, ["a", "b"]);
    book.add(keys, ["a", "b"]);
    book.add(keys, ["a", "c"]);
    const group = {
      reason: 12,
      site: 1,
      ifindex: 7,
      netns: 9,
      reasonName: "NETFILTER_DROP",
      place: "web eth0",
      siteName: "nft_do_chain",
      count: 1000,
      bytes: 92_001,
    };
    const [packets, bytes] = buildProfiles(
      [group, { ...group, site: 2, siteName: "tcp_v4_rcv", count: 7, bytes: 5 }],
      book,
    );
    const weigh = (samples: Iterable<{ weight: number }>) =>
      [...samples].reduce((sum, entry) => sum + entry.weight, 0);
    expect(weigh(packets?.samples ?? [])).toBe(1007);
    expect(weigh(bytes?.samples ?? [])).toBe(92_006);
    expect(
      [...(packets?.samples ?? [])].map((entry) => [
        entry.stack.map((frame) => frame.name).join(";"),
        entry.weight,
      ]),
    ).toEqual([
      ["NETFILTER_DROP;web eth0;a;b", 667],
      ["NETFILTER_DROP;web eth0;a;c", 333],
      ["NETFILTER_DROP;web eth0;tcp_v4_rcv", 7],
    ]);
  });
});
