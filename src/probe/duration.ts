import { EXIT, TraceError } from "../error.ts";

const UNIT_SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** A timer of Node counts milliseconds in 31 bits. */
const MAX_SECONDS = 24 * 86_400;

/** `500ms`, `30s`, `1m30s`, `1.5h` → seconds. Throws TraceError (usage) naming the option. */
export function parseDuration(text: string, option: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  const whole = parts.map((part) => part[0]).join("");
  const seconds = parts.reduce(
    (sum, part) => sum + Number(part[1]) * (UNIT_SECONDS[part[2] ?? ""] ?? NaN),
    0,
  );
  if (parts.length === 0 || whole !== text.trim() || !(seconds > 0) || seconds > MAX_SECONDS) {
    throw new TraceError(EXIT.usage, `${option}: ${JSON.stringify(text)} is not a duration`, {
      why: /^\d+(\.\d+)?$/.test(text.trim())
        ? "the unit is missing"
        : "a number with ms, s, m, h or d is expected, more than 0 and at most 24d",
      hint: `${option} 500ms   ${option} 30s   ${option} 5m   ${option} 1h`,
    });
  }
  return seconds;
}
