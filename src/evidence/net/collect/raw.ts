import type { Missing, NetTarget } from "../types.ts";

/** What a file or tool gave, before any parsing. */
export type RawSection = {
  readonly text: string;
  /** Exit status; null where it did not get as far as an end. Files have 0. */
  readonly status: number | null;
  /** Last line it wrote to stderr, or why there is nothing. */
  readonly message: string;
};

/**
 * Everything read from one network namespace, as text: what a recording keeps. A replay parses it again, so a better
 * parser also reads old recordings better.
 */
export type RawNet = {
  readonly version: 1;
  readonly target: NetTarget;
  /** Seconds since the epoch when the counters were read. */
  readonly takenAt: number;
  readonly seconds: number;
  /** Byte order of the addresses in `/proc/net/udp` and its like. */
  readonly littleEndian: boolean;
  /** By file path, or by command. */
  readonly sections: { readonly [name: string]: RawSection };
  /** What was not even tried, and why. */
  readonly skipped: readonly Missing[];
};

/** Whether a value (from a recording) is a `RawNet`. */
export function isRawNet(value: unknown): value is RawNet {
  if (!isObject(value) || value["version"] !== 1 || !isObject(value["target"])) return false;
  const { target, sections, skipped } = value;
  return (
    typeof target["inode"] === "number" &&
    (target["name"] === null || typeof target["name"] === "string") &&
    (target["path"] === null || typeof target["path"] === "string") &&
    typeof value["takenAt"] === "number" &&
    typeof value["seconds"] === "number" &&
    typeof value["littleEndian"] === "boolean" &&
    isObject(sections) &&
    Object.values(sections).every(isRawSection) &&
    Array.isArray(skipped) &&
    skipped.every(
      (item: unknown) =>
        isObject(item) && typeof item["what"] === "string" && typeof item["why"] === "string",
    )
  );
}

function isRawSection(value: unknown): boolean {
  if (!isObject(value) || typeof value["text"] !== "string" || typeof value["message"] !== "string")
    return false;
  return value["status"] === null || typeof value["status"] === "number";
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
