import { basename } from "node:path";
import { Option, type Command } from "commander";
import { EXIT, TraceError } from "../error.ts";
import { UNITS, type Pruned, type Unit } from "../profile/model.ts";
import { describeReport, readProfiles } from "../profile/read/read.ts";
import { createStore, type ProfileStore } from "../profile/store/store.ts";
import { escapeText } from "../text/escape.ts";
import { formatCount, plural } from "../text/format.ts";
import type { CommandIo } from "./io.ts";

export interface InputOptions {
  readonly unit?: Unit;
}

/** `--unit`: what text formats do not say about their numbers. */
export function createUnitOption(): Option {
  return new Option("--unit <unit>", "what the weights of bpftrace maps and folded stacks are").choices(
    UNITS,
  );
}

/** `--select`: formats that hold one profile need one of several. */
export function addSelectOption(command: Command): Command {
  return command.option("--select <name|number>", "which of several profiles (default: the one shown first)");
}

/** Reads files into one store, and says on stderr what of them was not converted. */
export async function readInputs(
  files: readonly string[],
  options: InputOptions,
  io: CommandIo,
  signal: AbortSignal,
): Promise<ProfileStore> {
  const [first = "-"] = files;
  if (files.filter((file) => file === "-").length > 1) {
    throw new TraceError(EXIT.usage, "standard input can be read only once", { hint: "name `-` once" });
  }
  const store = createStore(first === "-" ? "standard input" : basename(first));
  for (const file of files) {
    const known = store.profiles.length;
    const report = await readProfiles(store, file, { signal });
    const lost = describeReport(report);
    if (lost !== null) io.stderr.write(`trace: warning: ${escapeText(file)} (${report.format}): ${lost}\n`);
    for (const data of store.profiles.slice(known)) {
      if (data.unit === "none" && options.unit !== undefined) data.unit = options.unit;
    }
  }
  return store;
}

/** Lines that tell what the node budget took away. */
export function describePruned(pruned: Pruned | null): string[] {
  if (pruned === null) return [];
  return pruned.profiles.map(({ name, stacks, share, window }) => {
    const parts: string[] = [];
    if (stacks > 0) {
      const percent = (share * 100).toFixed(share < 0.01 ? 2 : 1);
      parts.push(`the lower ends of ${plural(stacks, "small stack")} (${percent} % of the total) are folded`);
    }
    if (window !== null && window > 1) parts.push(`time is kept to ${formatCount(window)} samples`);
    return `${name}: ${parts.join(", ")}; totals are exact`;
  });
}
