import type { StackTable } from "./stack-table.ts";

/**
 * Sorts `list` (stack numbers) so that stacks with a common root stand together, shorter ones first: the order in which a
 * depth-first walk of the call tree meets them. Returns how many frames, from the root, each entry has in common with the one
 * before it (0 for the first).
 *
 * Three-way radix quicksort: each frame of the common parts is looked at about once per stack. It splits where stacks
 * differ, so the common lengths fall out of it.
 */
export function sortStacks(table: StackTable, list: Int32Array): Int32Array {
  const ids = table.ids.data;
  const starts = table.starts.data;
  const prefixes = new Int32Array(list.length);
  // The frames at the current depth, beside the list: the stacks themselves are all over the memory.
  const keys = new Int32Array(list.length);
  // Ranges still to sort, as (low, high, depth): a recursion could be as deep as the deepest stack. A depth whose keys are
  // not loaded yet is stored as −1 − depth.
  const todo: number[] = [0, list.length - 1, -1];
  while (todo.length > 0) {
    let depth = todo.pop() ?? 0;
    const high = todo.pop() ?? 0;
    const low = todo.pop() ?? 0;
    if (high <= low) continue;
    if (depth < 0) {
      depth = -1 - depth;
      for (let index = low; index <= high; index++) {
        keys[index] = frameAt(ids, starts, list[index] ?? 0, depth);
      }
    }
    const pivot = pickMiddle(keys[low] ?? 0, keys[(low + high) >>> 1] ?? 0, keys[high] ?? 0);
    let less = low;
    let more = high;
    for (let index = low; index <= more;) {
      const frame = keys[index] ?? 0;
      if (frame < pivot) swap(list, keys, index++, less++);
      else if (frame > pivot) swap(list, keys, index, more--);
      else index++;
    }
    if (less > low) prefixes[less] = depth;
    if (more < high) prefixes[more + 1] = depth;
    todo.push(low, less - 1, depth, more + 1, high, depth);
    // −1 marks stacks that end here: those are equal, there is nothing left to compare.
    if (pivot >= 0) todo.push(less, more, -2 - depth);
    else prefixes.fill(depth, less + 1, more + 1);
  }
  return prefixes;
}

function swap(list: Int32Array, keys: Int32Array, one: number, two: number): void {
  const stack = list[one] ?? 0;
  const key = keys[one] ?? 0;
  list[one] = list[two] ?? 0;
  keys[one] = keys[two] ?? 0;
  list[two] = stack;
  keys[two] = key;
}

function pickMiddle(one: number, two: number, three: number): number {
  return Math.max(Math.min(one, two), Math.min(Math.max(one, two), three));
}

/** How many frames, from the root, two stacks have in common. */
export function commonPrefix(table: StackTable, one: number, two: number): number {
  const ids = table.ids.data;
  const limit = Math.min(table.depth(one), table.depth(two));
  const first = table.start(one);
  const second = table.start(two);
  let depth = 0;
  while (depth < limit && ids[first + depth] === ids[second + depth]) depth++;
  return depth;
}

function frameAt(ids: Int32Array, starts: Int32Array, stack: number, depth: number): number {
  const place = (starts[stack] ?? 0) + depth;
  return place < (starts[stack + 1] ?? 0) ? (ids[place] ?? -1) : -1;
}
