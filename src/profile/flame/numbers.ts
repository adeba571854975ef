import { formatBytes } from "../../text/format.ts";
import type { Unit } from "../model.ts";

const SECONDS: Partial<Record<Unit, number>> = {
  nanoseconds: 1e-9,
  microseconds: 1e-6,
  milliseconds: 1e-3,
  seconds: 1,
};

/** A weight as people read it: `1,234`, `3.20 s`, `15.0 MiB`. */
export function formatWeight(weight: number, unit: Unit): string {
  const seconds = SECONDS[unit];
  if (seconds !== undefined) return formatSeconds(weight * seconds);
  if (unit === "bytes") return formatBytes(weight);
  return weight.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

/** `12.34%` of a part from 0 to 1. */
export function formatShare(share: number): string {
  return `${(share * 100).toFixed(2)}%`;
}

function formatSeconds(seconds: number): string {
  if (seconds === 0 || seconds >= 1) return `${seconds.toFixed(2)} s`;
  if (seconds >= 1e-3) return `${(seconds * 1e3).toFixed(2)} ms`;
  return `${(seconds * 1e6).toFixed(2)} us`;
}
