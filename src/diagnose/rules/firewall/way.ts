import type { RuleDelta } from "../../../evidence/net/types.ts";
import { chainKey, type Jumps } from "./jumps.ts";
import { judge, type RuleMatch, type Subject } from "./match/condition.ts";

/** When a rule is asked, among those of its base chain. */
export interface Way {
  /** Its base chain. */
  readonly base: string;
  /** Position of each jump that leads to it, from the base chain on, and its own. */
  readonly numbers: readonly number[];
  /** Rules before it that lead packets past it, to others of the same base chain. */
  readonly past: readonly RuleMatch[];
}

/** Chains are seldom nested deeper; a loop of jumps cannot be loaded. */
const MAX_DEPTH = 8;

/** Of more than so many jumps to a chain none is looked at: each may have several before it. */
const MAX_JUMPS = 4;

/** What a packet must be like to get to a rule, and the only way there; `way` is null where there are several or none. */
export interface Reached {
  readonly match: RuleMatch;
  readonly way: Way | null;
}

/** How rules are reached in one namespace. `read`: what a rule asks of a packet that it sends to `chain`, or back. */
export function createWays(
  rules: readonly RuleDelta[],
  jumps: Jumps,
  read: (rule: RuleDelta, chain: string | null) => RuleMatch,
): (rule: RuleDelta, match: RuleMatch) => Reached {
  const leaving = new Map<string, { readonly number: number; readonly match: RuleMatch }[]>();
  for (const rule of rules) {
    if (rule.hook !== null || !rule.verdicts.some(({ kind }) => kind === "return" || kind === "goto"))
      continue;
    const key = chainKey(rule);
    const list = leaving.get(key) ?? [];
    list.push({ number: rule.number ?? 0, match: read(rule, null) });
    leaving.set(key, list);
  }
  const pastOf = (rule: RuleDelta): RuleMatch[] =>
    (leaving.get(chainKey(rule)) ?? [])
      .filter(({ number }) => number < (rule.number ?? 0))
      .map(({ match }) => match);

  return function reach(rule: RuleDelta, match: RuleMatch, depth = 0): Reached {
    const number = rule.number ?? 0;
    if (rule.hook !== null) return { match, way: { base: chainKey(rule), numbers: [number], past: [] } };
    const lead = depth < MAX_DEPTH ? jumps(rule) : [];
    const [jump] = lead;
    if (jump === undefined) return { match: { ...match, isComplete: false }, way: null };
    if (lead.length > 1) {
      // However many ways there are: where one is open to all, nothing more is asked of a packet.
      const isOpen =
        lead.length <= MAX_JUMPS &&
        lead.some((one) => {
          const found = reach(one, toChain(one, rule.chain), depth + 1).match;
          return found.isComplete && found.conditions.length === 0;
        });
      return { match: isOpen ? match : { ...match, isComplete: false }, way: null };
    }
    const before = reach(jump, toChain(jump, rule.chain), depth + 1);
    return {
      match: {
        conditions: [...match.conditions, ...before.match.conditions],
        isComplete: match.isComplete && before.match.isComplete,
      },
      way:
        before.way === null
          ? null
          : {
              base: before.way.base,
              numbers: [...before.way.numbers, number],
              past: [...before.way.past, ...pastOf(rule)],
            },
    };
  };

  function toChain(jump: RuleDelta, chain: string): RuleMatch {
    const own = read(jump, chain);
    return { ...own, isComplete: own.isComplete && jump.probability === null && jump.every === null };
  }
}

/** Whether a packet that meets the rule at `first` cannot get to what is asked later in the same base chain. */
export function isBefore(first: Way, later: Way, subject: Subject): boolean {
  if (first.base !== later.base || compare(first.numbers, later.numbers) >= 0) return false;
  return first.past.every((match) => judge(match, subject) === "no");
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, number] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    if (number !== other) return number - other;
  }
  return a.length - b.length;
}
