import { splitQuoted } from "../../../evidence/net/parse/iptables-words.ts";
import type {
  ChainDelta,
  FirewallPlace,
  NetDelta,
  RuleDelta,
  SetElementDelta,
} from "../../../evidence/net/types.ts";
import { escapeText, quoteShell } from "../../../text/escape.ts";
import { inNetns } from "../../commands.ts";
import type { Place } from "../../facts.ts";

/**
 * The tool as it has to be called. `iptables` is the nft one in current distributions; where there are legacy rules as well
 * it may be the other.
 */
export function toolName({ tool, backend }: FirewallPlace, { rules }: Pick<NetDelta, "rules">): string {
  if (tool === "nft") return tool;
  if (backend === "legacy") return `${tool}-legacy`;
  return rules.some((rule) => rule.tool === tool && rule.backend === "legacy") ? `${tool}-nft` : tool;
}

/** Shows a chain with its counters and what a rule is deleted by. */
export function listChain(netns: Place | null, network: NetDelta, place: FirewallPlace): string {
  const { family, table, chain } = place;
  if (place.tool === "nft") return inNetns(netns, `nft -a list chain ${words(family, table, chain)}`);
  return inNetns(
    netns,
    `${toolName(place, network)} -t ${words(table)} -L ${words(chain)} -v -n --line-numbers`,
  );
}

/** Shows all rules of that tool. */
export function listAll(netns: Place | null, network: NetDelta, place: FirewallPlace): string {
  return inNetns(
    netns,
    place.tool === "nft" ? "nft -a list ruleset" : `${toolName(place, network)} -t ${words(place.table)} -S`,
  );
}

/**
 * Matches that iptables does not find again by what it prints of them: what is compared holds a pointer of the kernel's
 * (1.8.9, both backends).
 */
const NOT_FOUND_AGAIN = / -m (?:recent|connlimit) /;

/**
 * Deletes a rule. By its number, as its tool lists it; where other rules of the same chain (`others`) are to be deleted as
 * well, numbers shift with the first: then by its text, if no second rule has it, else by its handle. Legacy rules have none:
 * of two with the same text it does not matter which one goes first, and one that is not found by its text is looked up.
 */
export function deleteRule(
  netns: Place | null,
  network: NetDelta,
  rule: RuleDelta,
  others: readonly RuleDelta[] = [],
): string[] {
  if (rule.presence === "removed") return [];
  if (rule.tool === "nft") return rule.handle === null ? [] : [inNetns(netns, deleteByHandle(rule))];
  const tool = `${toolName(rule, network)} -t ${words(rule.table)}`;
  const byNumber = `${tool} -D ${words(rule.chain)} ${rule.number ?? 1}`;
  if (!others.some((other) => other !== rule && isSameChain(other, rule))) return [inNetns(netns, byNumber)];
  const isUnique = !network.rules.some(
    (other) => other !== rule && isSameChain(other, rule) && other.text === rule.text,
  );
  // A comment may hold a newline or worse, which no report shows as such.
  const isPrintable = escapeText(rule.text) === rule.text;
  const isFound = isPrintable && !NOT_FOUND_AGAIN.test(rule.text);
  if (isFound && (isUnique || rule.handle === null))
    return [inNetns(netns, `${tool} -D ${splitQuoted(rule.text).slice(1).map(quoteShell).join(" ")}`)];
  if (rule.handle !== null) return [inNetns(netns, deleteByHandle(rule))];
  return [inNetns(netns, isPrintable ? `sh -c ${quoteShell(lookUp(tool, rule))}` : byNumber)];
}

/** Deletes the first rule with that text by its number: the list (`-S`) begins with a line for the chain itself. */
function lookUp(tool: string, { chain, text }: RuleDelta): string {
  const found = `${tool} -S ${words(chain)} | grep -nxFm1 -e ${quoteShell(text)}`;
  return `n=$(${found}) && ${tool} -D ${words(chain)} $((\${n%%:*} - 1))`;
}

function deleteByHandle({ family, table, chain, handle }: RuleDelta): string {
  return `nft delete rule ${words(family, table, chain)} handle ${handle}`;
}

function isSameChain(a: FirewallPlace, b: FirewallPlace): boolean {
  return (
    a.tool === b.tool &&
    a.backend === b.backend &&
    a.family === b.family &&
    a.table === b.table &&
    a.chain === b.chain
  );
}

/** The same rule with more words at its end, in its place: `iptables -R CHAIN NUMBER …`. Null for nft. */
export function replaceRule(
  netns: Place | null,
  network: NetDelta,
  rule: RuleDelta,
  change: (words: string[]) => string[],
): string | null {
  if (rule.tool === "nft" || rule.number === null || rule.presence === "removed") return null;
  const spec = change(splitQuoted(rule.text).slice(2)).map(quoteShell).join(" ");
  return inNetns(
    netns,
    `${toolName(rule, network)} -t ${words(rule.table)} -R ${words(rule.chain)} ${rule.number} ${spec}`,
  );
}

/** Makes a chain let through whatever no rule decides on. */
export function acceptPolicy(netns: Place | null, network: NetDelta, chain: ChainDelta): string {
  const { family, table } = chain;
  if (chain.tool === "nft")
    return inNetns(netns, `nft chain ${words(family, table, chain.chain)} '{ policy accept; }'`);
  return inNetns(netns, `${toolName(chain, network)} -t ${words(table)} -P ${words(chain.chain)} ACCEPT`);
}

/** Takes elements out of a verdict map; null where a key is not to be pasted (names that a program chose). */
export function deleteElements(netns: Place | null, elements: readonly SetElementDelta[]): string[] | null {
  if (elements.length === 0 || !elements.every(({ key }) => /^[\w.:/ -]+$/.test(key))) return null;
  return elements.map(({ family, table, set, key }) =>
    inNetns(netns, `nft delete element ${words(family, table, set)} '{ ${key} }'`),
  );
}

export function words(...names: readonly string[]): string {
  return names.map(quoteShell).join(" ");
}
