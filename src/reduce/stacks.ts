/** `nft_do_chain+1135` → `nft_do_chain`; null for a bare address or nothing. */
export function cleanSymbol(text: string): string | null {
  const name = text.replace(/\+(?:0x[0-9a-f]+|\d+)$/, "");
  return name === "" || /^(?:0x)?[0-9a-f]{8,}$/i.test(name) ? null : name;
}

/** A stack as bpftrace prints it, leaf first → function names, root first. */
export function readFrames(stack: string): string[] {
  return stack
    .split("\n")
    .flatMap((line) => cleanSymbol(line.trim()) ?? [])
    .reverse();
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

const MAX_STACKS_PER_GROUP = 512;

export interface CountedStack {
  /** Root first. */
  readonly frames: readonly string[];
  readonly samples: number;
}

/** Counts sampled stacks under several keys each, from special to general. */
export interface StackBook {
  add(keys: readonly string[], frames: readonly string[]): void;
  /** The stacks of the first key that has any. */
  find(keys: readonly string[]): readonly CountedStack[];
}

export function createStackBook(): StackBook {
  const books = new Map<string, Map<string, number>>();
  return {
    add(keys, frames) {
      const stack = frames.join("\n");
      for (const key of keys) {
        let stacks = books.get(key);
        if (stacks === undefined) books.set(key, (stacks = new Map()));
        if (stacks.size < MAX_STACKS_PER_GROUP || stacks.has(stack))
          stacks.set(stack, (stacks.get(stack) ?? 0) + 1);
      }
    },
    find(keys) {
      for (const key of keys) {
        const stacks = books.get(key);
        if (stacks !== undefined)
          return [...stacks].map(([stack, samples]) => ({
            frames: stack === "" ? [] : stack.split("\n"),
            samples,
          }));
      }
      return [];
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
