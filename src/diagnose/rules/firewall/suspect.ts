import type { ChainDelta, NetDelta, RuleDelta, SetElementDelta } from "../../../evidence/net/types.ts";
import type { RuleMatch } from "./match/condition.ts";
import type { Way } from "./way.ts";

interface Common {
  readonly network: NetDelta;
  /** By how much its counter moved; null: it has none, or it is not known. */
  readonly counted: number | null;
  /** Each packet it counted was dropped. False: it also counts others, so `counted` is the most it can have dropped. */
  readonly isExact: boolean;
  /** It was counting from anew during the run: it has dropped `counted` or more. */
  readonly isReset: boolean;
}

export interface RuleSuspect extends Common {
  readonly kind: "rule";
  readonly rule: RuleDelta;
  /** Elements of verdict maps that count by themselves and moved. */
  readonly elements: readonly SetElementDelta[];
  readonly match: RuleMatch;
  /** When it is asked; null where several ways lead to it. */
  readonly way: Way | null;
  /** Devices of its base chain (netdev, ingress); empty: any. */
  readonly devices: readonly string[];
}

export interface PolicySuspect extends Common {
  readonly kind: "policy";
  readonly chain: ChainDelta;
  readonly devices: readonly string[];
}

/** Connection tracking: no room for a new connection, or its entry clashed with another when it was to be confirmed. */
export interface ConntrackSuspect extends Common {
  readonly kind: "conntrack-full" | "conntrack-clash";
}

/** It dropped packets at the start of the run and does not at its end: what it counted is lost. */
export function isGone(suspect: Suspect): boolean {
  if (suspect.kind === "rule") return suspect.network.isGone || suspect.rule.presence === "removed";
  return suspect.kind === "policy" && isGonePolicy(suspect.network, suspect.chain);
}

export function isGonePolicy(network: NetDelta, chain: ChainDelta): boolean {
  return (
    network.isGone ||
    chain.presence === "removed" ||
    (chain.policyBefore === "drop" && chain.policy !== "drop")
  );
}

/** Something in a namespace that can have dropped packets. */
export type Suspect = RuleSuspect | PolicySuspect | ConntrackSuspect;
