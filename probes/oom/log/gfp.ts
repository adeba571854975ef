import gfp from "../gfp.json" with { type: "json" };

const MASKS = new Map<string, string>(Object.entries(gfp.masks));
const FLAGS = new Map<string, string>(Object.entries(gfp.flags));

/** Charges to a cgroup carry GFP_KERNEL whatever the page is for: the stack tells, the first word that fits. */
const STACKS = gfp.stacks.map(([pattern = "", text = ""]) => ({ pattern: new RegExp(pattern), text }));
/** Bits of the mask in 2.6.32–4.3 (include/linux/gfp.h); later kernels print the names. Combined masks first. */
const OLD = gfp.old.map(([mask = "", name = ""]) => ({ mask: Number(mask), name }));
const OLD_KERNEL = /^(?:2\.6|3|4\.[0-3])\./;

/** `GFP_KERNEL|__GFP_ZERO` → its names. An empty list where the kernel printed the number only and its bits are not known. */
export function splitGfp(text: string | null, mask: string | null, kernel: string | null): string[] {
  if (text !== null) return text.split("|").filter((name) => name !== "" && name.length <= 64);
  if (mask === null || kernel === null || !OLD_KERNEL.test(`${kernel}.`)) return [];
  let rest = Number(mask);
  const names: string[] = [];
  for (const { mask: bits, name } of OLD) {
    if ((rest & bits) !== bits) continue;
    names.push(name);
    rest &= ~bits;
  }
  return rest === 0 ? names : [];
}

/**
 * One sentence for an operator: what the triggering allocation was for. Null where nothing was asked for or the
 * flags are unknown. `order` -1 is SysRq-f (drivers/tty/sysrq.c), there the mask means nothing.
 */
export function explainGfp(
  flags: readonly string[],
  order: number | null,
  stack: readonly string[] | null = null,
): string | null {
  if (order === -1) return "Nobody asked for memory: the OOM killer was called by hand (SysRq-f).";
  const named = flags.map((flag) => MASKS.get(flag)).find((text) => text !== undefined);
  const base = STACKS.find(({ pattern }) => stack?.some((frame) => pattern.test(frame)))?.text ?? named;
  const extra = flags.map((flag) => FLAGS.get(flag)).filter((text) => text !== undefined);
  if (base === undefined && extra.length === 0) return null;
  const size = order === null || order <= 0 ? "" : `, ${String(2 ** order)} adjoining pages at once`;
  const rest = extra.length === 0 ? "" : ` (${extra.join(", ")})`;
  return `It asked for ${base ?? "kernel memory"}${size}${rest}.`;
}
