import { EXIT, TraceError } from "../../src/error.ts";
import type { OptionSpec, Options } from "../../src/probe/define.ts";

/** Not a round number: samples must not fall into step with timers of 100 or 1000 a second. */
const DEFAULT_HZ = 99;
const MOST_HZ = 20_000;

function parseHz(text: string): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= MOST_HZ) return value;
  throw new TraceError(EXIT.usage, `--hz: ${JSON.stringify(text)} is not valid`, {
    why: `a whole number of samples a second from 1 to ${MOST_HZ} is expected`,
    hint: "--hz 99",
  });
}

export const OPTIONS: readonly OptionSpec[] = [
  {
    name: "hz",
    flags: "--hz <n>",
    description: "samples a second on each CPU",
    parse: parseHz,
    default: DEFAULT_HZ,
  },
  { name: "user", flags: "--user", description: "only samples taken in user mode" },
  {
    name: "kernel",
    flags: "--kernel",
    description: "only samples taken in the kernel, and only its part of the stacks",
  },
  { name: "idle", flags: "--idle", description: "idle time too, as gaps" },
];

export function readHz(options: Options): number {
  return typeof options["hz"] === "number" ? options["hz"] : DEFAULT_HZ;
}
