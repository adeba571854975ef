import type { FlowCount } from "../../src/reduce/packet-counters.ts";
import type { FlowKey, Hook } from "../../src/reduce/packet-flow.ts";

/**
 * drops.bt tells the hook by the packet (route, device), which is right where IP asks netfilter. Others ask it too: a device (ingress,
 * egress) and a bridge before there is a route, ARP without one. There the sampled stack tells; what is no hook of IP is null.
 * The innermost of these functions decides: they nest (IP above a bridge above a device).
 */
const ASKING: readonly (readonly [RegExp, Hook | null | "packet"])[] = [
  [/^nft_do_chain_(?:netdev|inet_ingress|bridge|arp)$|^(?:ebt|arpt)_do_table$|^nf_hook_(?:in|e)gress/, null],
  [/^br_nf_pre_routing/, "PREROUTING"],
  [/^br_nf_local_in/, "INPUT"],
  [/^br_nf_forward/, "FORWARD"],
  [/^br_nf_post_routing/, "POSTROUTING"],
  // A REJECT rule at OUTPUT gives the packet a device (nf_send_unreach6), by which it looks like one at POSTROUTING.
  [/^__ip6?_local_out$/, "OUTPUT"],
  [/^(?:__)?ip6?_|^ipv6_rcv/, "packet"],
];

/** Of one stack, root first: the hook it proves, null for one that is none of IP's, "packet" where the packet tells it. */
export function hookOfStack(frames: readonly string[]): Hook | null | "packet" {
  for (const frame of frames.toReversed()) {
    const found = ASKING.find(([pattern]) => pattern.test(frame));
    if (found !== undefined) return found[1];
  }
  return "packet";
}

const IP: ReadonlySet<number> = new Set([0x0800, 0x86dd]);

/** Corrects the hooks of flows by the stacks that were sampled of them. */
export interface HookBook {
  /** Of an `S` record: its `what` word and frames, root first. */
  add(sample: {
    readonly what: bigint;
    readonly site: number;
    readonly ifindex: number;
    readonly netns: number;
    readonly frames: readonly string[];
  }): void;
  find(key: FlowKey): Hook | null;
  /** The flows with their hooks corrected. */
  correct(flows: Iterable<FlowCount>): Iterable<FlowCount>;
}

const NUMBERS: Readonly<Record<Hook, number>> = {
  PREROUTING: 1,
  INPUT: 2,
  FORWARD: 3,
  OUTPUT: 4,
  POSTROUTING: 5,
};

export function createHookBook(): HookBook {
  /** What the samples of a group say; undefined in it: they disagree. */
  const told = new Map<string, Hook | null | "packet" | undefined>();
  const keyOf = (reason: number, hook: number, type: number, place: readonly number[]) =>
    [reason, hook, type, ...place].join("/");
  const find = (key: FlowKey): Hook | null => {
    if (key.hook === null || (key.ethertype !== 0 && !IP.has(key.ethertype))) return null;
    const group = keyOf(key.reason, NUMBERS[key.hook], key.ethertype, [key.site, key.ifindex, key.netns]);
    const found = told.get(group);
    return found === undefined || found === "packet" ? key.hook : found;
  };
  return {
    add({ what, site, ifindex, netns, frames }) {
      const hook = Number((what >> 40n) & 0x7n);
      if (hook === 0) return;
      const type = Number((what >> 48n) & 0xffffn);
      const group = keyOf(Number(what & 0xffff_ffffn), hook, type, [site, ifindex, netns]);
      const said = hookOfStack(frames);
      told.set(group, told.has(group) && told.get(group) !== said ? undefined : said);
    },
    find,
    *correct(flows) {
      for (const flow of flows) {
        const hook = find(flow.key);
        yield hook === flow.key.hook ? flow : { ...flow, key: { ...flow.key, hook } };
      }
    },
  };
}
