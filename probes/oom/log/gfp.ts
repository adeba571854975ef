import gfp from "../gfp.json" with { type: "json" };

const MASKS = new Map<string, string>(Object.entries(gfp.masks));
const FLAGS = new Map<string, string>(Object.entries(gfp.flags));

/** Charges of user pages to a cgroup carry GFP_KERNEL: the stack tells that a page fault is behind them. */
const FAULT = /^(?:handle_mm_fault|__handle_mm_fault|do_anonymous_page|shmem_fault|filemap_fault)$/;

/** `GFP_KERNEL|__GFP_ZERO` → its names. An empty list for a kernel that prints the number only (before 4.6). */
export function splitGfp(text: string | null): string[] {
  if (text === null) return [];
  return text.split("|").filter((name) => name !== "" && name.length <= 64);
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
  const base =
    flags.includes("GFP_KERNEL") && stack?.some((frame) => FAULT.test(frame)) === true ? gfp.fault : named;
  const extra = flags.map((flag) => FLAGS.get(flag)).filter((text) => text !== undefined);
  if (base === undefined && extra.length === 0) return null;
  const size = order === null || order <= 0 ? "" : `, ${String(2 ** order)} adjoining pages at once`;
  const rest = extra.length === 0 ? "" : ` (${extra.join(", ")})`;
  return `It asked for ${base ?? "kernel memory"}${size}${rest}.`;
}
