import type { Frame, Profile, Sample } from "../../src/profile/model.ts";
import { apportion, cleanSymbol, readFrames, type StackBook } from "../../src/reduce/stacks.ts";
import { readWords } from "../../src/reduce/words.ts";
import { stackKeys, type StackGroup } from "./drop-facts.ts";

/** One sampled stack of dropped packets, as an `S` record of drops.bt and a `D` record of retrans.bt tell it. */
export interface StackSample extends StackGroup {
  /** The first word of the flow's key: see drops.bt. */
  readonly what: bigint;
  readonly dev: string | null;
  readonly symbol: string | null;
  /** Root → leaf, function names. */
  readonly frames: readonly string[];
}

/** Reads `S\twhat\tlocation\tifindex\tnetns\tdev\tsymbol\tstack`; null when the text is not one. */
export function parseSample(text: string, tag: "S" | "D" = "S"): StackSample | null {
  const [start, what = "", location = "", ifindex = "", netns = "", dev = "", symbol = "", stack = ""] =
    text.split("\t");
  const words = readWords([what, location, ifindex, netns].join(","), 4);
  if (start !== tag || words === null) return null;
  const [w = 0n, l = 0n, i = 0n, n = 0n] = words;
  return {
    what: w,
    reason: Number(w & 0xffff_ffffn),
    site: Number(l & 0xffff_ffffn),
    ifindex: Number(i & 0xffff_ffffn),
    netns: Number(n & 0xffff_ffffn),
    dev: dev === "" || i === 0n ? null : dev,
    symbol: cleanSymbol(symbol),
    frames: readFrames(stack),
  };
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
      const stacks = book.find(stackKeys(group));
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
