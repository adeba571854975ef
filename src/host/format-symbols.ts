import { evaluateConstant } from "./format-expression.ts";
import { splitTokens, type Token } from "./format-tokens.ts";

/** Names for numbers, per field, from `__print_symbolic` and `__print_flags`. */
export interface SymbolTables {
  /** Field name → value → name. Without a prototype: a field may be called anything. */
  readonly symbols: Readonly<Record<string, ReadonlyMap<number, string>>>;
  /** Fields whose table names single bits (`__print_flags`), so that a value is a combination. */
  readonly flagFields: readonly string[];
}

const CALLS: ReadonlySet<string> = new Set([
  "__print_symbolic",
  "__print_symbolic_u64",
  "__print_flags",
  "__print_flags_u64",
]);

/**
 * Reads the tables of a `print fmt:` line. Only tables whose numbers are the field's own are taken: `REC->reason`,
 * `(unsigned long)REC->gfp_flags`, `REC->state & 0xff`; a shifted or computed operand belongs to no field.
 * `malformed` counts entries whose value is no constant (kernels before 4.2 and some tracepoints print enum names there).
 */
export function parseSymbolTables(printFormat: string): SymbolTables & { malformed: number } {
  const tokens = splitTokens(printFormat);
  const symbols: Record<string, Map<number, string>> = Object.create(null);
  const flagFields = new Set<string>();
  let malformed = 0;
  for (const [index, token] of tokens.entries()) {
    if (token.kind !== "name" || !CALLS.has(token.value) || !isMark(tokens[index + 1], "(")) continue;
    const [operand = [], ...rest] = splitArguments(tokens, index + 2);
    const field = readOperandField(operand);
    if (field === null) continue;
    const isFlags = token.value.startsWith("__print_flags");
    if (isFlags) flagFields.add(field);
    const table = (symbols[field] ??= new Map());
    for (const entry of isFlags ? rest.slice(1) : rest) {
      const pair = readEntry(entry);
      if (pair === null) malformed += 1;
      // The kernel prints the first name that matches.
      else if (!table.has(pair.value)) table.set(pair.value, pair.name);
    }
  }
  return { symbols, flagFields: [...flagFields], malformed };
}

function isMark(token: Token | undefined, value: string): boolean {
  return token?.kind === "mark" && token.value === value;
}

/** The arguments of a call, split at its commas; `start` is the token after the opening parenthesis. */
function splitArguments(tokens: readonly Token[], start: number): Token[][] {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (let index = start; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (token === undefined) break;
    const mark = token.kind === "mark" ? token.value : "";
    if (mark === "(" || mark === "{") depth += 1;
    if (mark === ")" || mark === "}") depth -= 1;
    if (depth < 0) break;
    if (mark === "," && depth === 0) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

/** What may stand before the field: names, stars, parentheses. */
function isCastPart(token: Token): boolean {
  return token.kind === "name" || (token.kind === "mark" && ["(", ")", "*"].includes(token.value));
}

/** The field in `REC->x`, with casts, parentheses and a mask around it; null when the value is computed from it. */
function readOperandField(operand: readonly Token[]): string | null {
  const start = operand.findIndex((token) => token.value === "REC");
  const field = operand[start + 2];
  if (start === -1 || !isMark(operand[start + 1], "->") || field?.kind !== "name") return null;
  const after = operand.slice(start + 3);
  const next = after.find((token) => !isMark(token, ")"));
  if (!operand.slice(0, start).every(isCastPart) || after.some((token) => token.value === "REC")) return null;
  return next === undefined || isMark(next, "&") ? field.value : null;
}

/** `{ 2, "NO_SOCKET" }`: a constant expression and a name (C joins adjacent strings). */
function readEntry(tokens: readonly Token[]): { value: number; name: string } | null {
  if (!isMark(tokens[0], "{") || !isMark(tokens.at(-1), "}")) return null;
  const [expression = [], name = [], ...more] = splitArguments(tokens.slice(0, -1), 1);
  if (more.length > 0 || name.length === 0 || !name.every((token) => token.kind === "string")) return null;
  const value = evaluateConstant(expression);
  if (value === null) return null;
  const number = Number(value);
  return Number.isSafeInteger(number)
    ? { value: number, name: name.map((token) => token.value).join("") }
    : null;
}
