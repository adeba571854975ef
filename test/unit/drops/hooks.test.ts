import { describe, expect, test } from "vitest";
import { createHookBook, hookOfStack } from "../../../probes/drops/hooks.ts";
import type { FlowKey, Hook } from "../../../src/reduce/packet-flow.ts";

describe("the hook that a stack proves", () => {
  // Stacks of 6.18, root first, as far as they matter.
  test.each<readonly [string, string, Hook | null | "packet"]>([
    ["IP on its way in", "ip_rcv nf_hook_slow nft_do_chain_ipv4 nft_do_chain", "packet"],
    ["a device", "__netif_receive_skb_core nft_do_chain_netdev nft_do_chain", null],
    ["a device's inet chain", "__netif_receive_skb_core nft_do_chain_inet_ingress nft_do_chain", null],
    ["a device on the way out", "ip_output ip_finish_output2 __dev_queue_xmit nft_do_chain_netdev", null],
    ["ARP", "arp_rcv nf_hook_slow nft_do_chain_arp nft_do_chain", null],
    ["a bridge", "br_handle_frame __br_forward nf_hook_slow nft_do_chain_bridge nft_do_chain", null],
    [
      "IP rules that a bridge asks",
      "br_handle_frame br_nf_pre_routing br_nf_forward_ip nf_hook_slow nft_do_chain_ipv4 nft_do_chain",
      "FORWARD",
    ],
    ["IP above a bridge", "br_handle_frame br_nf_pre_routing ip_rcv ip_local_deliver nf_hook_slow", "packet"],
    ["IP as it makes a packet", "udpv6_sendmsg ip6_send_skb __ip6_local_out nf_hook_slow", "OUTPUT"],
    ["IP as a packet leaves", "ip_send_skb __ip_local_out ip_output nf_hook_slow", "packet"],
    ["no stack", "", "packet"],
  ])("%s", (_name, stack, hook) => {
    expect(hookOfStack(stack === "" ? [] : stack.split(" "))).toBe(hook);
  });
});

const KEY: FlowKey = {
  reason: 12,
  l4: 17,
  hook: "PREROUTING",
  ethertype: 0x0800,
  site: 7,
  ifindex: 3,
  netns: 4_026_532_000,
  source: null,
  destination: null,
  sourcePort: null,
  destinationPort: null,
  icmp: null,
  arpOperation: null,
};
const sampleOf = (frames: readonly string[]) => ({
  what: 12n | (17n << 32n) | (1n << 40n) | (0x0800n << 48n),
  site: 7,
  ifindex: 3,
  netns: 4_026_532_000,
  frames,
});

test("a flow takes the hook on which all samples of its kind agree, else the packet's", () => {
  const book = createHookBook();
  expect(book.find(KEY)).toBe("PREROUTING");
  book.add(sampleOf(["__netif_receive_skb_core", "nft_do_chain_netdev"]));
  expect(book.find(KEY)).toBeNull();
  expect(book.find({ ...KEY, ifindex: 4 })).toBe("PREROUTING");
  book.add(sampleOf(["ip_rcv", "nft_do_chain_ipv4"]));
  expect(book.find(KEY)).toBe("PREROUTING");
});

test("what is no IP has none of its hooks", () => {
  expect(createHookBook().find({ ...KEY, ethertype: 0x0806 })).toBeNull();
});
