import type { StackTable } from "./stack-table.ts";

/**
 * Sorts `list` (stack numbers) so that stacks with a common root stand together, shorter ones first: the order in
 * which a depth-first walk of the call tree meets them. Three-way radix quicksort: each frame id is looked at about
 * once per stack, however deep the common part.
 */
export function sortStacks(table: StackTable, list: Int32Array): void {
  const ids = table.ids.data;
  const starts = table.starts.data;
  // Ranges still to sort, as (low, high, depth) triples: a recursion could be as deep as the deepest stack.
  const todo: number[] = [0, list.length - 1, 0];
  while (todo.length > 0) {
    const depth = todo.pop() ?? 0;
    const high = todo.pop() ?? 0;
    const low = todo.pop() ?? 0;
    if (high <= low) continue;
    const pivot = frameAt(ids, starts, list[(low + high) >>> 1] ?? 0, depth);
    let less = low;
    let more = high;
    for (let index = low; index <= more;) {
      const stack = list[index] ?? 0;
      const frame = frameAt(ids, starts, stack, depth);
      if (frame < pivot) {
        list[index++] = list[less] ?? 0;
        list[less++] = stack;
      } else if (frame > pivot) {
        list[index] = list[more] ?? 0;
        list[more--] = stack;
      } else {
        index++;
      }
    }
    todo.push(low, less - 1, depth, more + 1, high, depth);
    // −1 marks stacks that end here: those are equal, there is nothing left to compare.
    if (pivot >= 0) todo.push(less, more, depth + 1);
  }
}

/** `result[i]` is how many frames, from the root, `list[i]` has in common with `list[i - 1]`; `result[0]` is 0. */
export function measurePrefixes(table: StackTable, list: Int32Array): Int32Array {
  const result = new Int32Array(list.length);
  for (let index = 1; index < list.length; index++) {
    result[index] = commonPrefix(table, list[index - 1] ?? 0, list[index] ?? 0);
  }
  return result;
}

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
