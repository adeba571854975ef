import { createAtomicWriter } from "../../files/atomic.ts";
import { drawHtml, drawSvg, isOwnDrawing } from "../flame/svg.ts";
import { buildFlame } from "../flame/tree.ts";
import type { Pruned } from "../model.ts";
import { buildTree } from "../store/tree.ts";
import type { ProfileData, ProfileStore } from "../store/store.ts";
import { isOwnSpeedscope, printSpeedscope } from "../write.ts";
import { printFolded } from "./folded.ts";
import type { OutputFormat } from "./formats.ts";
import { encodePprof } from "./pprof.ts";

export type Write = (chunk: string | Uint8Array) => void;

export interface PrintOptions {
  readonly format: OutputFormat;
  /** The one profile to write; speedscope files hold all of them. */
  readonly selected: ProfileData;
  readonly nodeBudget?: number;
}

/** Hands the file to `write`. Returns what had to be folded away to keep it viewable. */
export async function printProfiles(
  store: ProfileStore,
  options: PrintOptions,
  write: Write,
): Promise<Pruned | null> {
  const { format, selected, nodeBudget } = options;
  if (format === "speedscope") {
    return printSpeedscope(store, nodeBudget === undefined ? {} : { nodeBudget }, write);
  }
  if (format === "folded") printFolded(store, selected, write);
  else if (format === "pprof") write(await encodePprof(store, selected));
  else {
    const title = store.profiles.length > 1 ? `${store.name}: ${selected.name}` : store.name;
    const flame = buildFlame(store, buildTree(store, selected), selected.name);
    const draw = format === "svg" ? drawSvg : drawHtml;
    write(draw(flame, { title, unit: selected.unit, diff: false }));
  }
  return null;
}

/**
 * Writes `path` under a temporary name until `print` is through. An existing file is replaced if it is ours, which only
 * speedscope files and drawings can show, or with `force`. Returns its size in bytes and what `print` returned.
 */
export async function writeOutput<T>(
  path: string,
  options: { readonly format: OutputFormat; readonly force: boolean },
  print: (write: Write) => Promise<T>,
): Promise<{ bytes: number; result: T }> {
  const out = createAtomicWriter(path, { force: options.force, isOurs: OWNERS[options.format] });
  try {
    const result = await print(out.write);
    out.commit();
    return { bytes: out.bytes, result };
  } finally {
    out.abort();
  }
}

const OWNERS: Record<OutputFormat, (head: Buffer) => boolean> = {
  speedscope: isOwnSpeedscope,
  svg: isOwnDrawing,
  html: isOwnDrawing,
  // Nothing in these formats says who wrote them.
  folded: () => false,
  pprof: () => false,
};
