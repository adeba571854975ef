import { unpackFlow, type FlowKey } from "../../src/reduce/packet-flow.ts";
import { cleanSymbol, readFrames } from "../../src/reduce/stacks.ts";
import { readWords } from "../../src/reduce/words.ts";

/** A sampled stack of a dropped packet. */
export interface DropSample {
  readonly key: FlowKey;
  readonly dev: string | null;
  readonly symbol: string | null;
  /** Root first. */
  readonly frames: readonly string[];
}

/** Reads `D\twhat\tlocation\tifindex\tnetns\tdev\tsymbol\tstack`; null when the text is not one. */
export function parseDropSample(text: string): DropSample | null {
  const [tag, what = "", location = "", ifindex = "", netns = "", dev = "", symbol = "", ...stack] =
    text.split("\t");
  const words = readWords([what, location, ifindex, netns].join(","), 4);
  if (tag !== "D" || words === null) return null;
  const [w = 0n, l = 0n, i = 0n, n = 0n] = words;
  return {
    key: unpackFlow(w, (l & 0xffff_ffffn) | (i << 32n), n, [0n]),
    dev: dev === "" || i === 0n ? null : dev,
    symbol: cleanSymbol(symbol),
    frames: readFrames(stack.join("\t")),
  };
}
