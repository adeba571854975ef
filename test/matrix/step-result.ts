import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Row } from "../support/recording.ts";
import type { Step } from "./cases.ts";

/** What one step left behind in the folder of its case. */
export interface StepResult {
  /** What it recorded; the file need not be there. */
  readonly recording: string;
  readonly exit: number | null;
  readonly stderr: string;
  readonly records: readonly Row[];
  /** What the kernel and the rules counted, by name; a name can come more than once. */
  readonly truth: ReadonlyMap<string, readonly string[]>;
  /** In a virtual machine: its timers tick late, and bpftrace may need longer to end than it traced. */
  readonly isEmulated: boolean;
}

/** Reads what guest.sh wrote. A step that did not run has no exit code. */
export function readStep(folder: string, step: Step): StepResult {
  const read = (name: string) => {
    const path = join(folder, `${step}.${name}`);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  const truth = new Map<string, string[]>();
  for (const line of read("truth").split("\n")) {
    const [, name, value] = /^(\S+) (\S+)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) truth.set(name, [...(truth.get(name) ?? []), value]);
  }
  const exit = read("exit").trim();
  return {
    recording: join(folder, `${step}.trace.gz`),
    exit: exit === "" ? null : Number(exit),
    stderr: read("err").trim(),
    records: read("json")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Row),
    truth,
    isEmulated: existsSync(join(folder, "console")),
  };
}

/** The first of that name; NaN when there is none. */
export function truthOf(result: StepResult, name: string): number {
  return Number(result.truth.get(name)?.[0] ?? Number.NaN);
}

/** False where trace said that this bpftrace cannot use the kernel's types. */
export function hasTypes(result: StepResult): boolean {
  return !result.records.some(
    ({ type, ...fields }) =>
      type === "notice" && String(fields["message"]).startsWith("no kernel types (BTF)"),
  );
}
