import type { Frame, Profile, Sample } from "../../src/profile/model.ts";
import { readWords } from "./flow.ts";

/** One sampled stack, as an `S` record of drops.bt tells it. */
export interface StackSample {
  readonly reason: number;
  /** Low 32 bits of the call site. */
  readonly site: number;
  readonly ifindex: number;
  readonly netns: number;
  readonly dev: string | null;
  readonly symbol: string | null;
  /** Root → leaf, function names. */
  readonly frames: readonly string[];
}

/** Reads `S\twhat\tlocation\tifindex\tnetns\tdev\tsymbol\tstack`; null when the text is not one. */
export function parseSample(text: string): StackSample | null {
  const [tag, what = "", location = "", ifindex = "", netns = "", dev = "", symbol = "", stack = ""] =
    text.split("\t");
  const words = readWords([what, location, ifindex, netns].join(","), 4);
  if (tag !== "S" || words === null) return null;
  const [w = 0n, l = 0n, i = 0n, n = 0n] = words;
  return {
    reason: Number(w & 0xffff_ffffn),
    site: Number(l & 0xffff_ffffn),
    ifindex: Number(i & 0xffff_ffffn),
    netns: Number(n & 0xffff_ffffn),
    dev: dev === "" || i === 0n ? null : dev,
    symbol: cleanSymbol(symbol),
    frames: stack
      .split("\n")
      .flatMap((line) => cleanSymbol(line.trim()) ?? [])
      .reverse(),
  };
}

/** `nft_do_chain+1135` → `nft_do_chain`; null for a bare address or nothing. */
export function cleanSymbol(text: string): string | null {
  const name = text.replace(/\+(?:0x[0-9a-f]+|\d+)$/, "");
  return name === "" || /^(?:0x)?[0-9a-f]{8,}$/i.test(name) ? null : name;
}

/**
 * Where the journey of a packet begins anew. Through a veth, a bridge or loopback one packet is received on top of the stack that sent
 * it or another one: what stands before the last of these is not about this packet in this namespace.
 */
const ARRIVAL = /^(?:handle_softirqs|_{0,2}do_softirq\w*|net_rx_action|_{0,2}napi_poll|process_backlog)$/;

/** The part of a stack (root first) that belongs to the packet that was dropped; what runs in a timer stays with its timer. */
export function ownPart(frames: readonly string[]): readonly string[] {
  return frames.slice(frames.findLastIndex((name) => ARRIVAL.test(name)) + 1);
}

/** What shares its stacks: one reason at one call site on one device of one namespace. */
export interface StackGroup {
  readonly reason: number;
  readonly site: number;
  readonly ifindex: number;
  readonly netns: number;
}

const MAX_STACKS_PER_GROUP = 512;

/** Counts sampled stacks per group, and hands them out weighted by exact totals. */
export interface StackBook {
  add(sample: StackSample): void;
  /** Distinct stacks of a group with their number of samples; of its call site on any device when it has none of its own. */
  find(group: StackGroup): readonly { readonly frames: readonly string[]; readonly samples: number }[];
}

export function createStackBook(): StackBook {
  const exact = new Map<string, Map<string, number>>();
  const bySite = new Map<string, Map<string, number>>();
  const add = (map: Map<string, Map<string, number>>, key: string, stack: string) => {
    let stacks = map.get(key);
    if (stacks === undefined) map.set(key, (stacks = new Map()));
    if (stacks.size < MAX_STACKS_PER_GROUP || stacks.has(stack))
      stacks.set(stack, (stacks.get(stack) ?? 0) + 1);
  };
  return {
    add(sample) {
      const stack = sample.frames.join("\n");
      add(exact, `${sample.reason}/${sample.site}/${sample.netns}/${sample.ifindex}`, stack);
      add(bySite, `${sample.reason}/${sample.site}`, stack);
    },
    find(group) {
      const stacks =
        exact.get(`${group.reason}/${group.site}/${group.netns}/${group.ifindex}`) ??
        bySite.get(`${group.reason}/${group.site}`);
      return [...(stacks ?? [])].map(([stack, samples]) => ({
        frames: stack === "" ? [] : stack.split("\n"),
        samples,
      }));
    },
  };
}

/** Integer parts of `total` in proportion to `shares`, adding up exactly (largest remainder). */
export function apportion(total: number, shares: readonly number[]): number[] {
  const sum = shares.reduce((a, b) => a + b, 0);
  if (sum === 0) return shares.map((_, index) => (index === 0 ? total : 0));
  const exact = shares.map((share) => (total * share) / sum);
  const parts = exact.map(Math.floor);
  const order = exact
    .map((value, index) => ({ index, rest: value - Math.floor(value) }))
    .sort((a, b) => b.rest - a.rest);
  let missing = total - parts.reduce((a, b) => a + b, 0);
  for (const { index } of order) {
    if (missing <= 0) break;
    parts[index] = (parts[index] ?? 0) + 1;
    missing -= 1;
  }
  return parts;
}

/** One line of the profile before its stacks: a group, how it is labelled, what it weighs. */
export interface WeightedGroup extends StackGroup {
  readonly reasonName: string;
  /** Namespace and device, as the second frame. */
  readonly place: string;
  readonly siteName: string;
  readonly count: number;
  readonly bytes: number;
}

/** Two profiles, by packets and by bytes: reason → namespace and device → kernel stack. Weights add up to the totals. */
export function buildProfiles(groups: readonly WeightedGroup[], book: StackBook): Profile[] {
  const samplesBy = (weigh: (group: WeightedGroup) => number): Sample[] => {
    const samples: Sample[] = [];
    for (const group of groups) {
      const roots: Frame[] = [
        { name: group.reasonName, file: "drop reason" },
        { name: group.place, file: "where" },
      ];
      const stacks = book.find(group);
      if (stacks.length === 0) {
        samples.push({ stack: [...roots, { name: group.siteName, file: "[kernel]" }], weight: weigh(group) });
        continue;
      }
      const weights = apportion(
        weigh(group),
        stacks.map((stack) => stack.samples),
      );
      for (const [index, { frames }] of stacks.entries()) {
        samples.push({
          stack: [...roots, ...frames.map((name) => ({ name, file: "[kernel]" }))],
          weight: weights[index] ?? 0,
        });
      }
    }
    return samples.filter((sample) => sample.weight > 0);
  };
  return [
    { name: "dropped packets", unit: "none", order: "none", samples: samplesBy((group) => group.count) },
    { name: "dropped bytes", unit: "bytes", order: "none", samples: samplesBy((group) => group.bytes) },
  ];
}
