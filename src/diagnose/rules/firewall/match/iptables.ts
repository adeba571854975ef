import { splitQuoted } from "../../../../evidence/net/parse/iptables-words.ts";
import { makeCondition, type Condition, type Field, type RuleMatch } from "./condition.ts";

const FIELDS: Readonly<Record<string, Field>> = {
  "-p": "proto",
  "-s": "source",
  "-d": "destination",
  "-i": "in",
  "-o": "out",
  "--sport": "sourcePort",
  "--sports": "sourcePort",
  "--dport": "destinationPort",
  "--dports": "destinationPort",
};

/** Options that do not narrow what the rule applies to, with the number of words after them. */
const NEUTRAL: Readonly<Record<string, number>> = { "--comment": 1 };

/** Matches whose options are all in `FIELDS` or `NEUTRAL`. */
const PLAIN_MODULES: ReadonlySet<string> = new Set([
  "tcp",
  "udp",
  "sctp",
  "dccp",
  "udplite",
  "multiport",
  "comment",
]);

/** What a rule as `iptables-save` prints it (`-A INPUT -p tcp … -j DROP`) asks of a packet. */
export function readIptables(text: string): RuleMatch {
  const words = splitQuoted(text);
  const conditions: Condition[] = [];
  let isComplete = true;
  // Behind the chain's name.
  let index = 2;
  let negated = false;
  while (index < words.length) {
    const word = words[index] ?? "";
    if (word === "-j" || word === "-g") break;
    const value = words[index + 1] ?? "";
    const field = Object.hasOwn(FIELDS, word) ? FIELDS[word] : undefined;
    if (word === "!") {
      negated = true;
      index += 1;
      continue;
    }
    if (field !== undefined) {
      conditions.push(makeCondition(field, splitValues(field, value), negated));
      index += 2;
    } else if (word === "-m") {
      if (!PLAIN_MODULES.has(value)) isComplete = false;
      index += 2;
    } else if (Object.hasOwn(NEUTRAL, word)) {
      index += 1 + (NEUTRAL[word] ?? 0);
    } else {
      isComplete = false;
      index += 1;
    }
    negated = false;
  }
  return { conditions, isComplete };
}

/** `80,443,8000:8010`; `10.0.0.0/255.0.0.0` as old versions print it. */
function splitValues(field: Field, value: string): string[] {
  if (field === "sourcePort" || field === "destinationPort") return value.split(",");
  if (field !== "source" && field !== "destination") return [value];
  const [, address, mask] = /^([\d.]+)\/(\d+\.\d+\.\d+\.\d+)$/.exec(value) ?? [];
  if (address === undefined || mask === undefined) return [value];
  const bits = mask
    .split(".")
    .map((part) => Number(part).toString(2).padStart(8, "0"))
    .join("");
  return /^1*0*$/.test(bits) ? [`${address}/${bits.lastIndexOf("1") + 1}`] : [`${address}/${mask}`];
}
