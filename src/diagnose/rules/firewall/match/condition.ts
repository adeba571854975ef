import type { DropFact } from "../../../facts.ts";
import { isWithin, readAddress, readRange, type Address, type AddressRange } from "./address.ts";

export type Field = "proto" | "source" | "destination" | "sourcePort" | "destinationPort" | "in" | "out";

/** What a rule asks of a packet, as far as a drop record can answer it. */
export interface Condition {
  readonly field: Field;
  readonly negated: boolean;
  /** Any of these: protocol names, ports (`80`, `80-90`, `80:90`), device names (`eth+`), addresses. */
  readonly values: readonly string[];
  /** The addresses among the values. */
  readonly ranges: readonly AddressRange[];
}

export function makeCondition(field: Field, values: readonly string[], negated = false): Condition {
  const isAddress = field === "source" || field === "destination";
  return {
    field,
    negated,
    values,
    ranges: isAddress ? values.flatMap((value) => readRange(value) ?? []) : [],
  };
}

/** A packet to be judged: its record, and its addresses ready to be compared. */
export interface Subject {
  readonly drop: DropFact;
  readonly source: Address | null;
  readonly destination: Address | null;
}

export function makeSubject(drop: DropFact): Subject {
  const { source, destination } = drop;
  return {
    drop,
    source: source === null ? null : readAddress(source),
    destination: destination === null ? null : readAddress(destination),
  };
}

/** A rule's text as far as it was understood. */
export interface RuleMatch {
  readonly conditions: readonly Condition[];
  /** Nothing else decides whether the rule applies: no state, no limit, no chance, no set. */
  readonly isComplete: boolean;
}

/** "no": a condition is surely not met. "yes": all are met, and there are no others. */
export function judge(match: RuleMatch, subject: Subject): "yes" | "maybe" | "no" {
  let isSure = match.isComplete;
  for (const condition of match.conditions) {
    const met = isMet(condition, subject);
    if (met === false) return "no";
    if (met === null) isSure = false;
  }
  return isSure ? "yes" : "maybe";
}

/** Whether the packet is one of the values; null where the record or the value does not tell. */
function isMet(condition: Condition, subject: Subject): boolean | null {
  const { field, negated, values } = condition;
  if (field === "source" || field === "destination") return isAddressMet(condition, subject[field]);
  let isKnown = true;
  for (const value of values) {
    const equal = compare(field, value, subject.drop);
    if (equal === true) return !negated;
    if (equal === null) isKnown = false;
  }
  return isKnown ? negated : null;
}

function isAddressMet({ negated, values, ranges }: Condition, address: Address | null): boolean | null {
  if (address === null) return null;
  if (ranges.some((range) => isWithin(address, range))) return !negated;
  return ranges.length === values.length ? negated : null;
}

function compare(
  field: Exclude<Field, "source" | "destination">,
  value: string,
  drop: DropFact,
): boolean | null {
  switch (field) {
    case "proto":
      return drop.proto === null ? null : drop.proto === nameProtocol(value);
    case "sourcePort":
      return comparePort(value, drop.sourcePort);
    case "destinationPort":
      return comparePort(value, drop.destinationPort);
    case "in":
      return compareDevice(value, drop, ["PREROUTING", "INPUT", "FORWARD"]);
    case "out":
      return compareDevice(value, drop, ["POSTROUTING"]);
  }
}

/** Names of drop records for what the tools print otherwise. */
const PROTOCOLS: Readonly<Record<string, string>> = {
  "ipv6-icmp": "icmpv6",
  "1": "icmp",
  "6": "tcp",
  "17": "udp",
  "47": "gre",
  "50": "esp",
  "58": "icmpv6",
  "132": "sctp",
};

function nameProtocol(value: string): string {
  return PROTOCOLS[value] ?? (/^\d+$/.test(value) ? `ip-${value}` : value);
}

function comparePort(value: string, port: number | null): boolean | null {
  const [, low, high] = /^(\d{1,5})(?:[:-](\d{1,5}))?$/.exec(value) ?? [];
  if (port === null || low === undefined) return null;
  return port >= Number(low) && port <= Number(high ?? low);
}

/** A bridge shows the port as the device where a rule sees the bridge: then nothing is said. */
function compareDevice(
  value: string,
  { dev, hook, functions }: DropFact,
  hooks: readonly (DropFact["hook"] & string)[],
): boolean | null {
  if (dev === null || hook === null || !hooks.includes(hook)) return null;
  if (functions.some((name) => name.startsWith("br_") || name.startsWith("__br_"))) return null;
  const wildcard = /^(.*)[+*]$/.exec(value)?.[1];
  return wildcard === undefined ? dev === value : dev.startsWith(wildcard);
}
