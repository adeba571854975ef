import { TraceError, EXIT } from "../error.ts";

/** A string literal of bpftrace: made by `literal()`, which admits only what cannot end the literal. */
export interface Literal {
  readonly literal: string;
}

/**
 * What may stand in a program: numbers, truth values for `//#if`, lists for `//#each`, identifiers made by our own
 * code, and checked string literals. No text of a user gets in any other way.
 */
export type ProgramValue = number | bigint | boolean | Identifier | Literal | readonly ProgramVariables[];
export interface ProgramVariables {
  readonly [name: string]: ProgramValue;
}

/** A word of ours (a type, a field, a probe point). */
export interface Identifier {
  readonly identifier: string;
}

/** A field, type or attach point chosen by our code or read from this kernel. Throws RangeError on anything else. */
export function identifier(text: string): Identifier {
  if (!/^[A-Za-z_][A-Za-z0-9_:.-]*$/.test(text))
    throw new RangeError(`not an identifier: ${JSON.stringify(text)}`);
  return { identifier: text };
}

/** A user's text as a string literal; only printable ASCII without quote and backslash can be one. */
export function literal(text: string, option: string): Literal {
  if (!/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(text)) {
    throw new TraceError(EXIT.usage, `${option}: ${JSON.stringify(text)} cannot be used as a filter`, {
      why: "only printable ASCII without quotes and backslashes can be compared in the kernel",
      hint: "leave the filter out and pick from the report",
    });
  }
  return { literal: text };
}

interface Frame {
  readonly kind: "if" | "each";
  readonly active: boolean;
  taken: boolean;
  readonly start: number;
  readonly items: readonly ProgramVariables[];
}

/**
 * Writes the program of a template. Templates are bpftrace with four kinds of comment lines, `//#if NAME`,
 * `//#if !NAME`, `//#else`, `//#each NAME` … `//#end`, and `${name}` for values. Throws RangeError on a mistake in the template
 * (unknown name, missing end): that is a bug of the probe, not of its user.
 */
export function renderProgram(template: string, variables: ProgramVariables): string {
  const lines = template.split("\n");
  return renderLines(lines, 0, lines.length, variables)
    .join("\n")
    .replace(/\n{3,}/g, "\n\n");
}

function renderLines(
  lines: readonly string[],
  from: number,
  to: number,
  variables: ProgramVariables,
): string[] {
  const out: string[] = [];
  const stack: Frame[] = [];
  const isActive = () => stack.every((frame) => frame.active && frame.taken);
  for (let index = from; index < to; index += 1) {
    const line = lines[index] ?? "";
    const [, word, argument = ""] = /^\s*\/\/#(\w+)\s*(\S*)\s*$/.exec(line) ?? [];
    if (word === undefined) {
      if (isActive()) out.push(substitute(line, variables));
    } else if (word === "if") {
      stack.push({
        kind: "if",
        active: isActive(),
        taken: test(argument, variables),
        start: index,
        items: [],
      });
    } else if (word === "else") {
      const top = stack.at(-1);
      if (top?.kind !== "if") throw new RangeError(`template line ${index + 1}: #else without #if`);
      top.taken = !top.taken;
    } else if (word === "each") {
      const end = findEnd(lines, index, to);
      if (isActive()) {
        const items = lookup(argument, variables);
        if (!Array.isArray(items))
          throw new RangeError(`template line ${index + 1}: ${argument} is not a list`);
        for (const item of items as readonly ProgramVariables[]) {
          out.push(...renderLines(lines, index + 1, end, { ...variables, ...item }));
        }
      }
      index = end;
    } else if (word === "end") {
      if (stack.pop() === undefined) throw new RangeError(`template line ${index + 1}: #end without a start`);
    } else throw new RangeError(`template line ${index + 1}: unknown directive #${word}`);
  }
  const open = stack.at(-1);
  if (open !== undefined) throw new RangeError(`template line ${open.start + 1}: #${open.kind} has no #end`);
  return out;
}

function findEnd(lines: readonly string[], start: number, to: number): number {
  let depth = 0;
  for (let index = start; index < to; index += 1) {
    const [, word] = /^\s*\/\/#(if|each|end)\b/.exec(lines[index] ?? "") ?? [];
    if (word === "end") depth -= 1;
    else if (word !== undefined) depth += 1;
    if (depth === 0) return index;
  }
  throw new RangeError(`template line ${start + 1}: no #end`);
}

function lookup(name: string, variables: ProgramVariables): ProgramValue {
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
  if (value === undefined) throw new RangeError(`template: no value for ${JSON.stringify(name)}`);
  return value;
}

function test(argument: string, variables: ProgramVariables): boolean {
  const negated = argument.startsWith("!");
  const value = lookup(negated ? argument.slice(1) : argument, variables);
  const truth = Array.isArray(value) ? value.length > 0 : value !== false && value !== 0 && value !== 0n;
  return truth !== negated;
}

function substitute(line: string, variables: ProgramVariables): string {
  return line.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = lookup(name, variables);
    if (typeof value === "bigint") return value.toString();
    if (typeof value === "number") {
      if (!Number.isSafeInteger(value)) throw new RangeError(`template: ${name} is no safe integer`);
      return value.toString();
    }
    if (typeof value === "object" && "identifier" in value) return value.identifier;
    if (typeof value === "object" && "literal" in value) return `"${value.literal}"`;
    throw new RangeError(`template: ${name} cannot stand in a program`);
  });
}
