import type { Draft } from "./draft.ts";
import type { KillFigures } from "./kill-line.ts";

const SIZES = [4096, 8192, 16_384, 65_536];
const DEFAULT = 4096;

/** The known page size nearest to a quotient that is a little off (the victim may have grown between two lines). */
function nearest(bytes: number): number | null {
  return SIZES.find((size) => bytes > size * 0.75 && bytes < size * 1.5) ?? null;
}

/**
 * The task table counts pages without saying how large they are. Surest first: the buddy lists name the smallest
 * block; the victim's total_vm is printed in pages and in kB; the zones' kB against "pages RAM". Else 4 KiB, unproven.
 */
export function findPageSize(draft: Draft, victim: KillFigures): { bytes: number; known: boolean } {
  const block = draft.memInfo?.smallestBlockKb ?? null;
  if (block !== null && SIZES.includes(block * 1024)) return { bytes: block * 1024, known: true };
  const pages = draft.table?.rows.find((row) => row.pid === victim.pid)?.values.get("total_vm") ?? 0;
  if (victim.totalVmBytes !== null && pages > 0) {
    const size = nearest(victim.totalVmBytes / pages);
    if (size !== null) return { bytes: size, known: true };
  }
  const ram = draft.memInfo?.ramPages ?? 0;
  const present = [...(draft.memInfo?.zones.values() ?? [])].reduce(
    (sum, zone) => sum + (zone.presentBytes ?? 0),
    0,
  );
  const size = ram > 0 && present > 0 ? nearest(present / ram) : null;
  return size === null ? { bytes: DEFAULT, known: false } : { bytes: size, known: true };
}
