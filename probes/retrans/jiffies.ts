import { readWords } from "../../src/reduce/words.ts";

/** CONFIG_HZ as kernel/Kconfig.hz offers it, and what it is on m68k, alpha and um. */
const RATES = [100, 250, 300, 1000, 1024] as const;

/**
 * Ticks a second of the running kernel, from its jiffies (low 32 bits) and its clock (nanoseconds since boot) at one moment. Jiffies
 * start 300 s before they wrap (INITIAL_JIFFIES, include/linux/jiffies.h). Null when they fit no rate, or several (five minutes after the start).
 */
export function findHz(jiffies: number, nanoseconds: bigint): number | null {
  const seconds = Number(nanoseconds / 1000n) / 1e6;
  const fits = RATES.filter((hz) => {
    // The difference modulo 2^32, as a signed number.
    const off = (jiffies - Math.round(hz * (seconds - 300))) | 0;
    return Math.abs(off) < hz * TOLERANCE;
  });
  return fits.length === 1 ? (fits[0] ?? null) : null;
}

/** Seconds by which both clocks may be apart: they start together, the boot's first moments aside. */
const TOLERANCE = 3;

/** Reads a `J` record of retrans.bt; null when the text is none or says nothing. */
export function parseHz(text: string): number | null {
  const [tag, ...parts] = text.split("\t");
  const words = tag === "J" ? readWords(parts.join(","), 2) : null;
  return words === null ? null : findHz(Number((words[0] ?? 0n) & 0xffff_ffffn), words[1] ?? 0n);
}
