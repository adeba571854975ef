import { ByteText } from "../../files/byte-text.ts";
import type { Comparison } from "../diff.ts";
import { createFoldedNames } from "./folded.ts";

const SEMICOLON = 59;

/**
 * Hands the difference to `write` as `difffolded.pl -n` prints it: `root;leaf BEFORE AFTER`, BEFORE scaled to AFTER's total, so
 * that `flamegraph.pl` draws it.
 */
export function printDiffFolded(comparison: Comparison, write: (chunk: Uint8Array) => void): void {
  const { tree, shares, store } = comparison;
  const total = comparison.after.total;
  const names = createFoldedNames(store);
  const text = new ByteText(write);
  for (const [entry, stack] of tree.list.entries()) {
    const start = tree.table.start(stack);
    const end = start + tree.table.depth(stack);
    for (let place = start; place < end; place++) {
      if (place > start) text.byte(SEMICOLON);
      text.text(names(tree.table.ids.at(place)));
    }
    text.text(
      ` ${round((shares.before[entry] ?? 0) * total)} ${round((shares.after[entry] ?? 0) * total)}\n`,
    );
  }
  text.flush();
}

function round(value: number): string {
  return String(Math.round(value * 100) / 100);
}
