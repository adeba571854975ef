/** Frames that print the report; the stack of interest ends at `oom_kill_process`, as a kprobe there would show it. */
const PRINTERS =
  /^(?:__)?(?:dump_stack(?:_lvl)?|show_stack|dump_backtrace|show_trace|dump_header|unwind_backtrace)(?:\.\w+)*$/;

export const MAX_FRAMES = 256;

/** Frames as printed (leaf first) → root → leaf, without those that only print the report. Null for none. */
export function buildStack(frames: readonly string[]): string[] | null {
  let start = 0;
  while (start < frames.length && PRINTERS.test(frames[start] ?? "")) start += 1;
  const rest = frames.slice(start).toReversed();
  return rest.length === 0 ? null : rest;
}

/** Whether the stack shows the limit of a memory cgroup, or the host's allocator, running out; null when neither. */
export function scopeOfStack(frames: readonly string[]): "memcg" | "host" | null {
  if (frames.some((frame) => frame.startsWith("mem_cgroup_out_of_memory"))) return "memcg";
  if (frames.some((frame) => frame.startsWith("__alloc_pages") || frame.startsWith("__alloc_frozen_pages")))
    return "host";
  return null;
}
