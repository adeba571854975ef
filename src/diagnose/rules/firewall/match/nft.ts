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

/** Which elements of a verdict map are meant. */
export interface WantedKeys {
  /** Of a named map; null: not known. Keys of several fields are joined by ` . `. */
  readonly keysOf: (map: string) => readonly string[] | null;
  /** All members of a named set; null: not known, or they come and go. */
  readonly membersOf: (set: string) => readonly string[] | null;
  /** Whether an element in the text is: its verdict (`drop`, `jump`), and the chain it leads to. */
  readonly isWanted: (verdict: string, target: string) => boolean;
}

/** Elements that end in a drop. */
export function droppingKeys(
  keysOf: WantedKeys["keysOf"],
  membersOf: WantedKeys["membersOf"] = () => null,
): WantedKeys {
  return { keysOf, membersOf, isWanted: (verdict) => verdict === "drop" || verdict === "reject" };
}

/**
 * What a rule as `nft -a list ruleset` prints it (`udp dport { 7, 9-12 } counter drop`) asks of a packet. A verdict map asks
 * for the keys that are wanted: those in the text, or `keysOf(name)` of a named map.
 */
export function readNft(text: string, wanted: WantedKeys): RuleMatch {
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
    // Several fields joined: `ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 443 }`.
    const fields = [found.field];
    while (words[index] === ".") {
      const next = findField(words, index + 1);
      if (next === null) return { conditions, isComplete: false };
      conditions.push(...next.implied);
      fields.push(next.field);
      index += 1 + next.length;
    }
    const value = readValue(words, index, wanted);
    index = value.end;
    if (value.values === null) isComplete = false;
    else if (fields.length === 1) conditions.push(makeCondition(found.field, value.values, value.negated));
    else {
      conditions.push(...readJoined(fields, value));
      // Which value goes with which is not asked then.
      if (value.values.length > 1 || value.negated) isComplete = false;
    }
  }
  return { conditions, isComplete };
}

/** What keys of several fields ask of each field. */
function readJoined(fields: readonly Field[], { values, negated }: Value): Condition[] {
  const keys = (values ?? []).map((key) => key.split(" . "));
  if (negated || keys.some((key) => key.length !== fields.length)) return [];
  return fields.map((field, at) => makeCondition(field, [...new Set(keys.map((key) => key[at] ?? ""))]));
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
  { keysOf, membersOf, isWanted }: WantedKeys,
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
    return { negated, values: (isMap ? keysOf : membersOf)(value.slice(1)), end: index + 1 };
  if (value !== "{") return { negated, values: value === "" ? null : [value], end: index + 1 };
  const end = words.indexOf("}", index);
  if (end < 0) return { negated, values: null, end: words.length };
  return {
    negated,
    values: readElements(words.slice(index + 1, end), isMap ? isWanted : null),
    end: end + 1,
  };
}

/** What can follow a key. */
const AFTER_KEY: ReadonlySet<string> = new Set([":", "counter", "timeout", "expires", "comment", "limit"]);

/**
 * `22 , 80-90` → all; `22 : accept , 23 counter packets 5 bytes 300 : drop` → those whose verdict is wanted. Null where a map has
 * none, or is not understood.
 */
function readElements(words: readonly string[], isWanted: WantedKeys["isWanted"] | null): string[] | null {
  const keys: string[] = [];
  let start = 0;
  while (start < words.length) {
    const comma = words.indexOf(",", start);
    const element = words.slice(start, comma < 0 ? words.length : comma);
    start = comma < 0 ? words.length : comma + 1;
    const length = element.findIndex((word) => AFTER_KEY.has(word));
    const key = element.slice(0, length < 0 ? element.length : length).join(" ");
    const colon = element.lastIndexOf(":");
    if (isWanted === null || (colon >= 0 && isWanted(element[colon + 1] ?? "", element[colon + 2] ?? "")))
      keys.push(key);
  }
  return isWanted !== null && keys.length === 0 ? null : keys;
}

/** Words and quoted texts; braces and commas are words of their own. Only `, ` separates: names hold no comma. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|[{},]|[^\s{},"]+/g)].map(([word, quoted]) => quoted ?? word);
}
