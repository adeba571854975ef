import { figures, makeTable, words, type TableBlock } from "../../src/probe/columns.ts";
import type { Frame } from "../../src/profile/model.ts";
import type { SampleBook } from "../../src/profile/samples/book.ts";
import { formatCount } from "../../src/text/format.ts";
import type { Kind } from "./counts.ts";

const ROWS = 12;

export function headline(total: Readonly<Record<Kind, number>>): string {
  const all = total.user + total.kernel + total.kernelThreads;
  const part = (count: number) => (all === 0 ? "–" : percent(count / all));
  return `${formatCount(all)} samples · user ${part(total.user)} kernel ${part(total.kernel)} kernel threads ${part(total.kernelThreads)}`;
}

/** Functions on top of the stack so far. `perStack`: samples by stack. */
export function liveTable(book: SampleBook, perStack: readonly number[]): TableBlock {
  const functions = new Map<Frame, number>();
  let all = 0;
  for (const [stack, count] of perStack.entries()) {
    const frame = book.leafOf(stack);
    all += count;
    functions.set(frame, (functions.get(frame) ?? 0) + count);
  }
  const rows = [...functions].sort((a, b) => b[1] - a[1]).slice(0, ROWS);
  return makeTable(rows, [
    figures("SELF", ([, count]) => percent(count / all)),
    words("FUNCTION", ([{ name }]) => name, { shrink: 2 }),
    words("WHERE", ([{ file }]) => file ?? "", { shrink: 1 }),
  ]);
}

/** 0.1234 → "12.3 %". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
