import type { Hook, RuleDelta } from "../../../evidence/net/types.ts";
import { rankDrops } from "../../amounts.ts";
import type { DropFact } from "../../facts.ts";
import type { PolicySuspect, RuleSuspect } from "./suspect.ts";

const DIRECTIONS: Readonly<Record<Hook, string>> = {
  PREROUTING: "arriving",
  INPUT: "incoming",
  FORWARD: "forwarded",
  OUTPUT: "outgoing",
  POSTROUTING: "leaving",
  INGRESS: "arriving",
  EGRESS: "leaving",
};

/** The hook at which it saw them: its chain's own, or, where it is jumped to from several, the one most drops name. */
export function hookOf(hooks: readonly Hook[], drops: readonly DropFact[]): Hook | null {
  if (hooks.length === 1) return hooks[0] ?? null;
  const [most] = rankDrops(drops, (drop) => drop.hook);
  return hooks.find((hook) => hook === most?.name) ?? hooks[0] ?? null;
}

/** "An iptables rule drops 30 % of all incoming packets at random". `subject` and `adverb` for one that is only suspected. */
export function tellRule(
  { rule, match }: RuleSuspect,
  drops: readonly DropFact[],
  {
    subject = subjectOf(rule),
    adverb = "",
    isPast = false,
  }: { readonly subject?: string; readonly adverb?: string; readonly isPast?: boolean } = {},
): string {
  const { probability, every } = rule;
  const isRandom = probability !== null && probability < 1;
  // Only a chain's first rule is asked about every packet.
  const isAll =
    match.conditions.length === 0 && rule.hook !== null && rule.number === 1 && qualifierOf(rule) === "";
  const share = isRandom
    ? `${percent(probability)} % of `
    : every !== null
      ? `every ${ordinal(every)} of the `
      : "";
  const all = isAll && every === null && (match.isComplete || isRandom) ? "all " : "";
  // What comes back from a service goes to ports that say nothing.
  const end = /(?:--sports?|--source-ports?|\bsport) /.test(rule.text) ? "from" : "to";
  const packets = tellPackets(hookOf(rule.hooks, drops), drops, all !== "", end);
  return `${subject} ${adverb}${isPast ? pastVerbOf(rule) : verbOf(rule)} ${share}${all}${packets}${qualifierOf(rule)}${isRandom ? " at random" : ""}`;
}

/** "The default policy of chain INPUT (iptables) drops incoming TCP packets to port 80". `verb` for one that is only suspected, or gone. */
export function tellPolicy({ chain }: PolicySuspect, drops: readonly DropFact[], verb = "drops"): string {
  const place =
    chain.tool === "nft"
      ? `nftables chain ${chain.family} ${chain.table} ${chain.chain}`
      : `${chain.tool} chain ${chain.chain}${chain.table === "filter" ? "" : ` of table ${chain.table}`}`;
  return `The default policy of ${place} ${verb} ${tellPackets(hookOf(chain.hooks, drops), drops, false)}`;
}

/** "incoming UDP packets to port 53", as far as all drops agree. */
export function tellPackets(
  hook: Hook | null,
  drops: readonly DropFact[],
  isAll: boolean,
  end: "to" | "from" = "to",
): string {
  const direction = hook === null ? "" : `${DIRECTIONS[hook]} `;
  if (isAll) return `${direction}packets`;
  const proto = same(drops, (drop) => drop.proto);
  const pick = (drop: DropFact) => (end === "to" ? drop.destinationPort : drop.sourcePort);
  const port = proto === "tcp" || proto === "udp" ? same(drops, pick) : null;
  const name = proto === null ? "" : `${nameProtocol(proto)} `;
  return `${direction}${name}packets${port === null ? "" : ` ${end} port ${port}`}`;
}

function nameProtocol(proto: string): string {
  if (proto === "icmpv6") return "ICMPv6";
  return proto.startsWith("eth-") || proto.startsWith("ip-") ? proto : proto.toUpperCase();
}

/** What all drops have in common; null where they differ or it is not known. */
export function same<T>(drops: readonly DropFact[], pick: (drop: DropFact) => T | null): T | null {
  const [first] = drops;
  if (first === undefined) return null;
  const value = pick(first);
  return drops.every((drop) => pick(drop) === value) ? value : null;
}

export function subjectOf(rule: Pick<RuleDelta, "tool" | "backend">): string {
  if (rule.tool === "nft") return "An nftables rule";
  return rule.backend === "legacy" ? `A legacy ${rule.tool} rule` : `An ${rule.tool} rule`;
}

export function verbOf(rule: Pick<RuleDelta, "verdicts">): string {
  return rule.verdicts.some(({ kind }) => kind === "drop") || !isReject(rule) ? "drops" : "rejects";
}

function pastVerbOf(rule: Pick<RuleDelta, "verdicts">): string {
  return verbOf(rule) === "drops" ? "dropped" : "rejected";
}

export function isReject(rule: Pick<RuleDelta, "verdicts">): boolean {
  return rule.verdicts.some(({ kind }) => kind === "reject");
}

/** Rules that drop what is too much, and what connection tracking does not know. */
function qualifierOf({ text }: Pick<RuleDelta, "text">): string {
  if (isInvalidRule(text)) return " that belong to no known connection (INVALID)";
  if (
    /--(?:hashlimit|connlimit|limit)-above\b|\blimit rate over\b|\bct count over\b|\bquota over\b/.test(text)
  ) {
    return " above its limit";
  }
  return "";
}

/** `-m conntrack --ctstate INVALID`, `-m state --state INVALID`, `ct state invalid`. */
export function isInvalidRule(text: string): boolean {
  return /(?<!! )--(?:ct)?state \S*\bINVALID\b|\bct state (?:\{[^}]*)?\binvalid\b/.test(text);
}

/** Three digits: 0.29999999981 → "30", 0.00125 → "0.125". */
function percent(share: number): string {
  return String(Number((share * 100).toPrecision(3)));
}

function ordinal(value: number): string {
  const suffix = /1[1-3]$/.test(String(value))
    ? "th"
    : ({ "1": "st", "2": "nd", "3": "rd" }[String(value).slice(-1)] ?? "th");
  return `${value}${suffix}`;
}
