import type { Token } from "./format-tokens.ts";

/** Deeper nesting than any kernel prints; a bound, so that hostile text cannot exhaust the stack. */
const MAX_DEPTH = 100;
const WORD_BITS = 64n;

const BINDING: Readonly<Record<string, number>> = {
  "|": 1,
  "^": 2,
  "&": 3,
  "<<": 4,
  ">>": 4,
  "+": 5,
  "-": 5,
  "*": 6,
  "/": 6,
  "%": 6,
};

/**
 * Value of a constant C expression such as `( unsigned long)((( gfp_t)((((1UL))) << (11))) | 0x400u)`, as the kernel
 * prints it for flags and enums. Casts are read and ignored. Null for anything else: a name, a remainder, an
 * overflow of 64 bits.
 */
export function evaluateConstant(tokens: readonly Token[]): bigint | null {
  let position = 0;

  const isMark = (value: string, at = position): boolean => {
    const token = tokens[at];
    return token?.kind === "mark" && token.value === value;
  };

  function readBinary(minimum: number, depth: number): bigint | null {
    let left = readUnary(depth);
    for (;;) {
      const token = tokens[position];
      const binding = token?.kind === "mark" ? BINDING[token.value] : undefined;
      if (left === null || token?.kind !== "mark" || binding === undefined || binding < minimum) return left;
      position += 1;
      const right = readBinary(binding + 1, depth + 1);
      left = right === null ? null : applyOperator(token.value, left, right);
    }
  }

  function readUnary(depth: number): bigint | null {
    if (depth > MAX_DEPTH) return null;
    const token = tokens[position];
    if (token === undefined) return null;
    position += 1;
    if (token.kind === "number") return token.value;
    if (token.kind !== "mark") return null;
    if (token.value === "(") {
      if (skipCast()) return readUnary(depth + 1);
      const inner = readBinary(1, depth + 1);
      if (inner === null || !isMark(")")) return null;
      position += 1;
      return inner;
    }
    if (token.value !== "-" && token.value !== "~" && token.value !== "+") return null;
    const operand = readUnary(depth + 1);
    if (operand === null || token.value === "+") return operand;
    return token.value === "-" ? -operand : ~operand;
  }

  /** After a "(": skips `unsigned long)` and the like; only names and stars make a cast. */
  function skipCast(): boolean {
    let end = position;
    while (tokens[end]?.kind === "name" || (end > position && isMark("*", end))) end += 1;
    if (end === position || !isMark(")", end)) return false;
    position = end + 1;
    return true;
  }

  const value = readBinary(1, 0);
  return position === tokens.length ? value : null;
}

function applyOperator(operator: string, left: bigint, right: bigint): bigint | null {
  if ((operator === "<<" || operator === ">>") && (right < 0n || right >= WORD_BITS)) return null;
  if ((operator === "/" || operator === "%") && right === 0n) return null;
  const result = compute(operator, left, right);
  return result === null || BigInt.asIntN(65, result) !== result ? null : result;
}

function compute(operator: string, left: bigint, right: bigint): bigint | null {
  switch (operator) {
    case "|":
      return left | right;
    case "^":
      return left ^ right;
    case "&":
      return left & right;
    case "<<":
      return left << right;
    case ">>":
      return left >> right;
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return left / right;
    case "%":
      return left % right;
    default:
      return null;
  }
}
