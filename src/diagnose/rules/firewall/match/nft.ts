import { makeCondition, type Condition, type Field, type RuleMatch } from "./condition.ts";

/** Two words that name a field of the packet. */
const FIELDS: Readonly<Record<string, Field>> = {
  "ip saddr": "source",
  "ip6 saddr": "source",
  "ip daddr": "destination",
  "ip6 daddr": "destination",
  "meta l4proto": "proto",
  "ip protocol": "proto",
  "ip6 nexthdr": "proto",
  "th sport": "sourcePort",
  "th dport": "destinationPort",
};

const TRANSPORTS: ReadonlySet<string> = new Set(["tcp", "udp", "sctp", "dccp", "udplite"]);
const PROTOCOLS: ReadonlySet<string> = new Set([...TRANSPORTS, "icmp", "icmpv6"]);
const DEVICES: Readonly<Record<string, Field>> = {
  iif: "in",
  iifname: "in",
  oif: "out",
  oifname: "out",
};

/** Statements that do not narrow what the rule applies to, with the number of words after them. */
const NEUTRAL: Readonly<Record<string, number>> = { counter: 0, comment: 1, drop: 0, accept: 0 };

/** From here on the text is no condition any more. */
const LAST: ReadonlySet<string> = new Set(["reject", "jump", "goto", "queue"]);

/** What can follow the options of a `log`. */
const AFTER_LOG: ReadonlySet<string> = new Set([...LAST, ...Object.keys(NEUTRAL)]);

/** Verdicts of a map's elements that end in a drop. */
const DROPPING: ReadonlySet<string> = new Set(["drop", "reject"]);

/**
 * What a rule as `nft -a list ruleset` prints it (`udp dport { 7, 9-12 } counter drop`) asks of a packet. A verdict map asks
 * for the keys that drop: those in the text, or `keysOf(name)` of a named map.
 */
export function readNft(text: string, keysOf: (map: string) => readonly string[] | null): RuleMatch {
  const words = splitWords(text);
  const conditions: Condition[] = [];
  let isComplete = true;
  let index = 0;
  while (index < words.length) {
    const word = words[index] ?? "";
    if (LAST.has(word)) break;
    const neutral = Object.hasOwn(NEUTRAL, word) ? NEUTRAL[word] : undefined;
    if (neutral !== undefined) {
      index += 1 + neutral;
      // A named counter.
      if (word === "counter" && words[index] === "name") index += 2;
      continue;
    }
    if (word === "log") {
      const next = words.findIndex((later, at) => at > index && AFTER_LOG.has(later));
      index = next < 0 ? words.length : next;
      continue;
    }
    const found = findField(words, index);
    if (found === null) {
      // `tcp flags syn`, `icmp type echo-request`.
      if (PROTOCOLS.has(word)) conditions.push(makeCondition("proto", [word]));
      isComplete = false;
      index += 1;
      continue;
    }
    conditions.push(...found.implied);
    index += found.length;
    // Several fields joined (`ip saddr . tcp dport`): their values are no values of one field.
    if (words[index] === ".") return { conditions, isComplete: false };
    const value = readValue(words, index, keysOf);
    index = value.end;
    if (value.values === null) isComplete = false;
    else conditions.push(makeCondition(found.field, value.values, value.negated));
  }
  return { conditions, isComplete };
}

interface FieldWords {
  readonly field: Field;
  readonly length: number;
  readonly implied: readonly Condition[];
}

function findField(words: readonly string[], index: number): FieldWords | null {
  const [first = "", second = ""] = words.slice(index, index + 2);
  const device = Object.hasOwn(DEVICES, first) ? DEVICES[first] : undefined;
  if (device !== undefined) return { field: device, length: 1, implied: [] };
  if (TRANSPORTS.has(first) && (second === "sport" || second === "dport")) {
    const field = second === "sport" ? "sourcePort" : "destinationPort";
    return { field, length: 2, implied: [makeCondition("proto", [first])] };
  }
  const name = `${first} ${second}`;
  const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
  return field === undefined ? null : { field, length: 2, implied: [] };
}

interface Value {
  readonly negated: boolean;
  /** Null: a set, a map without known keys, a comparison. */
  readonly values: readonly string[] | null;
  readonly end: number;
}

function readValue(
  words: readonly string[],
  start: number,
  keysOf: (map: string) => readonly string[] | null,
): Value {
  let index = start;
  const operator = words[index] ?? "";
  const negated = operator === "!=";
  if (negated || operator === "==") index += 1;
  if (/^(?:[<>]=?|&|\||\^|<<|>>|and|or|xor)$/.test(operator))
    return { negated, values: null, end: index + 2 };
  const isMap = words[index] === "vmap";
  if (isMap) index += 1;
  const value = words[index] ?? "";
  if (value.startsWith("@"))
    return { negated, values: isMap ? keysOf(value.slice(1)) : null, end: index + 1 };
  if (value !== "{") return { negated, values: value === "" ? null : [value], end: index + 1 };
  const end = words.indexOf("}", index);
  if (end < 0) return { negated, values: null, end: words.length };
  const inside = words.slice(index + 1, end);
  return {
    negated,
    values: isMap ? droppingKeys(inside) : inside.filter((word) => word !== ","),
    end: end + 1,
  };
}

/** `22 : accept , 23 counter packets 5 bytes 300 : drop` → `23`. Null where the text is not understood. */
function droppingKeys(words: readonly string[]): string[] | null {
  const keys: string[] = [];
  let key: string | null = null;
  for (const [index, word] of words.entries()) {
    if (word === ",") key = null;
    else key ??= word;
    if (word === ":" && key !== null && DROPPING.has(words[index + 1] ?? "")) keys.push(key);
  }
  return keys.length === 0 ? null : keys;
}

/** Words and quoted texts; braces and commas are words of their own. Only `, ` separates: names hold no comma. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|[{},]|[^\s{},"]+/g)].map(([word, quoted]) => quoted ?? word);
}
