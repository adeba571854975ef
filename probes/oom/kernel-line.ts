import type { KernelLine, KernelLogCounts } from "../../src/evidence/kernel-log/line.ts";
import type { Fact, Json, JsonObject } from "../../src/probe/define.ts";

/** Name of the facts that carry the lines of a saved log; its key `lines` or `counts`. */
export const SAVED_LOG = "saved-log";

/** Lines of a saved log as a fact. */
export function linesFact(lines: readonly KernelLine[]): Fact {
  return { fact: SAVED_LOG, key: "lines", value: lines.map((line) => ({ ...line })) };
}

/** What the reader could not use, at the end. */
export function countsFact(counts: KernelLogCounts, cut: string | null): Fact {
  return { fact: SAVED_LOG, key: "counts", value: { ...counts, cut } };
}

/** Reads lines back; what is none is left out. */
export function readLines(value: Json): KernelLine[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly Json[]).flatMap((entry) => readLine(entry) ?? []);
}

function readLine(value: Json): KernelLine | null {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const { text, host, time, monotonic, level, caller } = value as JsonObject;
  if (typeof text !== "string") return null;
  return {
    text,
    host: typeof host === "string" ? host : null,
    time: readTime(time ?? null),
    ...(typeof monotonic === "number" ? { monotonic } : {}),
    ...(typeof level === "number" ? { level } : {}),
    ...(typeof caller === "string" ? { caller } : {}),
  };
}

function readTime(value: Json): KernelLine["time"] {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const { kind, seconds, iso, zoned } = value as JsonObject;
  if (kind === "monotonic" && typeof seconds === "number") return { kind, seconds };
  if (kind === "wall" && typeof iso === "string") return { kind, iso, zoned: zoned === true };
  return null;
}
