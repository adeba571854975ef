import { EXIT, TraceError } from "../error.ts";
import type { OptionSpec, Options } from "./define.ts";

/** Not a round number: samples must not fall into step with timers of 100 or 1000 a second. */
const DEFAULT_HZ = 99;
const MOST_HZ = 20_000;

/** `--hz`, for probes that sample. */
export const HZ_OPTION: OptionSpec = {
  name: "hz",
  flags: "--hz <n>",
  description: "samples a second on each CPU",
  parse: parseHz,
  default: DEFAULT_HZ,
};

function parseHz(text: string): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= MOST_HZ) return value;
  throw new TraceError(EXIT.usage, `--hz: ${JSON.stringify(text)} is not valid`, {
    why: `a whole number of samples a second from 1 to ${MOST_HZ} is expected`,
    hint: `--hz ${DEFAULT_HZ}`,
  });
}

/** The parsed value; the default in a recording without one. */
export function readHz(options: Options): number {
  return typeof options["hz"] === "number" ? options["hz"] : DEFAULT_HZ;
}

/** Throws TraceError (usage) where the kernel would refuse. `most`: kernel.perf_event_max_sample_rate, null for unknown. */
export function checkHz(hz: number, most: number | null): void {
  if (most === null || hz <= most) return;
  throw new TraceError(EXIT.usage, `--hz: this host allows at most ${most}`, {
    why: "kernel.perf_event_max_sample_rate, which the kernel lowers when sampling takes too long",
    hint: `--hz ${Math.min(DEFAULT_HZ, most)}`,
  });
}
