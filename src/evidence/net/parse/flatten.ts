import { asRecord, asText, toTable } from "./values.ts";

/** Deeper or longer than any tool prints: what is beyond is left out. */
const MAX_DEPTH = 4;
const MAX_ENTRIES = 200;

/** Leaves of a nested object that are numbers, by dotted path (`rx.dropped`). */
export function flattenNumbers(value: unknown): { readonly [name: string]: number } {
  return toTable(
    leaves(value).flatMap(([name, leaf]) => (typeof leaf === "number" ? [[name, leaf] as const] : [])),
  );
}

/** All leaves of a nested object as text, by dotted path; a list of plain values becomes one text with commas. */
export function flattenTexts(value: unknown): { readonly [name: string]: string } {
  return toTable(leaves(value).map(([name, leaf]) => [name, String(leaf)] as const));
}

type Leaf = number | string | boolean;

function leaves(value: unknown, prefix = "", depth = 0): [string, Leaf][] {
  const record = asRecord(value);
  if (record === null || depth > MAX_DEPTH) return [];
  const found: [string, Leaf][] = [];
  for (const [key, item] of Object.entries(record)) {
    if (found.length >= MAX_ENTRIES) break;
    const name = prefix === "" ? key : `${prefix}.${key}`;
    if (typeof item === "number" || typeof item === "string" || typeof item === "boolean")
      found.push([name, item]);
    else if (Array.isArray(item)) found.push([name, describeList(item)]);
    else found.push(...leaves(item, name, depth + 1));
  }
  return found.slice(0, MAX_ENTRIES);
}

function describeList(items: readonly unknown[]): string {
  return items
    .slice(0, MAX_ENTRIES)
    .map((item) => asText(item) ?? JSON.stringify(item))
    .join(",");
}
