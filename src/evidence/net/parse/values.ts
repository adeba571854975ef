/** What a parser made of a text: the value, and how many items in it no one could read. Parsers never throw. */
export type Parsed<T> = { readonly value: T; readonly unread: number };

export type JsonRecord = { readonly [key: string]: unknown };

/** The value as an object, or null. */
export function asRecord(value: unknown): JsonRecord | null {
  return isRecord(value) ? value : null;
}

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Only the objects of a list. */
export function asRecords(value: unknown): JsonRecord[] {
  return asList(value)
    .map(asRecord)
    .filter((item) => item !== null);
}

/** Only the strings of a list. */
export function asStrings(value: unknown): string[] {
  return asList(value).filter((item) => typeof item === "string");
}

export function asString(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** A finite number, or a text that is one; else null. */
export function asNumber(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  return typeof value === "string" ? parseCount(value) : null;
}

/** A string or a number as text; null for anything else. */
export function asText(value: unknown): string | null {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : null;
}

/** Decimal digits (up to 64 bit; above 2^53 the nearest double), with sign; null for anything else. */
export function parseCount(text: string): number | null {
  return /^-?\d{1,20}$/.test(text) ? Number(text) : null;
}

/** Hexadecimal digits without prefix, up to 64 bit; null for anything else. */
export function parseHex(text: string): number | null {
  return /^[0-9a-f]{1,16}$/i.test(text) ? Number.parseInt(text, 16) : null;
}

/** Lines of a text, without the empty ones. */
export function splitLines(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

/** Words between blanks. */
export function splitWords(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== "");
}

/**
 * A table of names from the traced system, safe for any key (`__proto__` too: a plain object literal would
 * take it for its prototype and lose it).
 */
export function toTable<T>(entries: Iterable<readonly [string, T]>): { [name: string]: T } {
  return Object.fromEntries(entries);
}
