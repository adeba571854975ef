import type { KernelReasons } from "./catalogue.ts";

/** Drop reasons of the kernel the session ran on. */
export interface ReasonTable extends KernelReasons {
  /** Null on kernels that give no reasons. */
  name(reason: number): string | null;
}

/** `names`: number → name as the kernel's format file has them. `isKnown` false: this kernel gives no reasons (before 5.17). */
export function createReasonTable(names: Readonly<Record<string, unknown>>, isKnown: boolean): ReasonTable {
  const known = new Set(isKnown ? Object.values(names) : []);
  return {
    name(reason) {
      if (!isKnown) return null;
      const name = names[String(reason)];
      return typeof name === "string" ? name : `REASON_${reason}`;
    },
    has: (reason) => known.has(reason),
  };
}
