import type {
  ChainDelta,
  NetDelta,
  RuleDelta,
  SetElementDelta,
  VerdictKind,
} from "../../../evidence/net/types.ts";
import type { Change } from "../../../evidence/change.ts";
import { readIptables } from "./match/iptables.ts";
import { droppingKeys, readNft, type WantedKeys } from "./match/nft.ts";
import type { RuleMatch } from "./match/condition.ts";
import { chainKey, indexJumps } from "./jumps.ts";
import { isGonePolicy, type Suspect } from "./suspect.ts";
import { createWays } from "./way.ts";

/** Everything in a namespace that can drop a packet, whether it is known to have done so or not. */
export function listSuspects(network: NetDelta): Suspect[] {
  return [...ruleSuspects(network), ...policySuspects(network), ...conntrackSuspects(network)];
}

/**
 * Targets that drop what they cannot handle (no proxy listens, no address to translate to, no room for the option). Not
 * each packet they count is dropped.
 */
const REFUSING: ReadonlySet<string> = new Set(
  "TPROXY SYNPROXY MASQUERADE TCPMSS tproxy synproxy masquerade".split(" "),
);

function ruleSuspects(network: NetDelta): Suspect[] {
  const shared = countNames(network.rules);
  const remade = findRemade(network.rules);
  const devices = deviceLists(network);
  const reach = createWays(network.rules, indexJumps(network), (rule, chain) =>
    readJump(network, rule, chain),
  );
  return network.rules.flatMap((rule): Suspect[] => {
    if (rule.presence === "removed" && remade.has(ruleKey(rule))) return [];
    const elements = mappedElements(network, rule);
    const dropping = isCountedSet(network.rules, rule)
      ? elements
      : elements.filter(({ verdict }) => verdict !== null && isDropping(verdict.kind));
    const drops = rule.verdicts.some(({ kind }) => isDropping(kind)) || dropping.length > 0;
    const refuses = rule.verdicts.some(({ kind, target }) => kind === "other" && REFUSING.has(target ?? ""));
    if (!drops && !refuses) return [];
    const counting = dropping.filter(({ packets }) => packets.after !== null);
    // Elements that count tell better than the rule that looks them up.
    const byElements =
      !rule.hasCounter &&
      counting.length > 0 &&
      counting.length === dropping.length &&
      (isOnlyMap(rule) || isCountedSet(network.rules, rule));
    const counted = byElements
      ? counting.reduce((sum, { packets }) => sum + (packets.delta ?? 0), 0)
      : rule.packets.delta;
    return [
      {
        kind: "rule",
        network,
        rule,
        elements: counting.filter(({ packets }) => (packets.delta ?? 0) > 0),
        ...reach(rule, readMatch(network, rule)),
        devices: devices.get(chainKey(rule)) ?? [],
        counted,
        isExact: drops && (byElements || countsOnlyDrops(rule, shared)),
        isReset: wasReset(rule.packets) || (rule.presence === "added" && remade.has(ruleKey(rule))),
      },
    ];
  });
}

/**
 * Rules that were taken away and put back in the run: a reload (`nft -f`, `iptables-restore`) makes every rule anew, and what the
 * old one had counted is gone.
 */
function findRemade(rules: readonly RuleDelta[]): ReadonlySet<string> {
  const added = new Set(rules.filter(({ presence }) => presence === "added").map(ruleKey));
  const gone = rules.filter(({ presence }) => presence === "removed").map(ruleKey);
  return new Set(gone.filter((key) => added.has(key)));
}

function ruleKey(rule: RuleDelta): string {
  return `${chainKey(rule)}${rule.text}`;
}

/** Devices of base chains, by chain. */
function deviceLists(network: NetDelta): ReadonlyMap<string, readonly string[]> {
  const chains = network.state.configuration?.firewall?.chains ?? [];
  return new Map(chains.map((chain) => [chainKey(chain), chain.devices]));
}

/** The verdict comes from a named map, and from nothing else in the rule. */
function isOnlyMap({ text }: RuleDelta): boolean {
  return /\bvmap @/.test(text) && !/ (?:drop|reject)\b/.test(text);
}

/** `ip saddr @blocked drop`, where the set's elements count and no other rule looks into it: they count what it drops. */
function isCountedSet(rules: readonly RuleDelta[], { family, table, sets, text }: RuleDelta): boolean {
  const [, name] =
    /(?<!!= )@(\S+)(?: log(?: (?:prefix "[^"]*"|group \d+|level \w+|flags \w+))*)? (?:drop|reject)\b/.exec(
      text,
    ) ?? [];
  if (name === undefined || sets.length !== 1 || sets[0] !== name) return false;
  const users = rules.filter(
    (rule) => rule.family === family && rule.table === table && rule.sets.includes(name),
  );
  return users.length === 1;
}

function isDropping(kind: VerdictKind): boolean {
  return kind === "drop" || kind === "reject";
}

/** Elements of the sets and maps that the rule looks into. */
function mappedElements(network: NetDelta, rule: RuleDelta): SetElementDelta[] {
  if (rule.sets.length === 0) return [];
  return network.setElements.filter(
    ({ family, table, set }) => family === rule.family && table === rule.table && rule.sets.includes(set),
  );
}

/** What a rule asks of a packet that it drops. */
function readMatch(network: NetDelta, rule: RuleDelta): RuleMatch {
  if (rule.tool !== "nft") return readIptables(rule.text);
  const dropping = mappedElements(network, rule).filter(
    ({ verdict }) => verdict !== null && isDropping(verdict.kind),
  );
  return readNft(rule.text, droppingKeys(keysAmong(dropping), membersOf(network, rule)));
}

/** What a rule asks of a packet that it sends to `chain`; null: back to where it came from, or anywhere. */
function readJump(network: NetDelta, jump: RuleDelta, chain: string | null): RuleMatch {
  if (jump.tool !== "nft") return readIptables(jump.text);
  return readNft(jump.text, keysTo(network, jump, chain));
}

/** Keys of a named map among these elements. */
function keysAmong(elements: readonly SetElementDelta[]): WantedKeys["keysOf"] {
  return (map) => {
    const keys = elements.filter(({ set }) => set === map).map(({ key }) => key);
    return keys.length === 0 ? null : keys;
  };
}

/** Members of a named set that only people change. */
function membersOf(network: NetDelta, { family, table }: RuleDelta): WantedKeys["membersOf"] {
  const sets = network.state.configuration?.firewall?.sets ?? [];
  return (name) => {
    const set = sets.find((item) => item.family === family && item.table === table && item.name === name);
    if (set === undefined || set.isMap || set.isDynamic || set.elements.length < set.size) return null;
    return set.elements.map(({ key }) => key);
  };
}

/** Elements of verdict maps that lead to a chain; null: to any, or back. */
function keysTo(network: NetDelta, jump: RuleDelta, chain: string | null): WantedKeys {
  const isWanted = (kind: string, target: string | null) =>
    chain === null
      ? kind === "return" || kind === "goto"
      : (kind === "jump" || kind === "goto") && target === chain;
  const leading = mappedElements(network, jump).filter(
    ({ verdict }) => verdict !== null && isWanted(verdict.kind, verdict.target),
  );
  return { keysOf: keysAmong(leading), membersOf: membersOf(network, jump), isWanted };
}

/** How many rules use each named counter. */
function countNames(rules: readonly RuleDelta[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const rule of rules) {
    if (rule.counterName !== null) counts.set(nameKey(rule), (counts.get(nameKey(rule)) ?? 0) + 1);
  }
  return counts;
}

function nameKey(rule: RuleDelta): string {
  return JSON.stringify([rule.family, rule.table, rule.counterName]);
}

/**
 * iptables counts a packet when all matches of the rule were met, so each one got the verdict. nft counts where the word
 * `counter` stands: only directly before the verdict is it the same.
 */
function countsOnlyDrops(rule: RuleDelta, shared: ReadonlyMap<string, number>): boolean {
  if (!rule.verdicts.every(({ kind }) => isDropping(kind))) return false;
  if (rule.tool !== "nft") return true;
  if (rule.counterName !== null && shared.get(nameKey(rule)) !== 1) return false;
  return /\bcounter(?: name \S+)?(?: log(?: (?:prefix "[^"]*"|group \d+|level \w+|flags \w+))*)? (?:drop|reject)\b/.test(
    rule.text,
  );
}

function wasReset({ before, after }: Change): boolean {
  return before !== null && after !== null && after < before;
}

function policySuspects(network: NetDelta): Suspect[] {
  const devices = deviceLists(network);
  return network.chains
    .filter((chain) => chain.policy === "drop" || chain.policyBefore === "drop")
    .map((chain) => ({
      kind: "policy",
      network,
      chain,
      devices: devices.get(chainKey(chain)) ?? [],
      counted: isGonePolicy(network, chain) ? null : countPolicy(network, chain),
      isExact: true,
      isReset: wasReset(chain.packets),
    }));
}

/**
 * iptables counts what meets a policy. iptables-nft prints 0 also for a chain that has no counter, which is read as unknown: a
 * number at the end after that means that it counted from 0.
 */
function countPolicy(network: NetDelta, chain: ChainDelta): number | null {
  const { before, after, delta } = chain.packets;
  if (delta !== null) return chain.backend === "nft" && after === 0 ? null : delta;
  return before === null && after !== null && after > 0 && network.seconds > 0 ? after : null;
}

/**
 * `drop` of /proc/net/stat/nf_conntrack counts what found no room (__nf_conntrack_alloc), and together with `insert_failed` what
 * clashed (nf_ct_resolve_clash).
 */
function conntrackSuspects(network: NetDelta): Suspect[] {
  const stats = network.conntrack?.stats ?? {};
  const clashed = stats["insert_failed"]?.delta ?? 0;
  const full = Math.max(0, (stats["drop"]?.delta ?? 0) - clashed);
  const common = { network, isExact: true, isReset: false } as const;
  return [
    ...(full > 0 ? [{ ...common, kind: "conntrack-full" as const, counted: full }] : []),
    ...(clashed > 0 ? [{ ...common, kind: "conntrack-clash" as const, counted: clashed }] : []),
  ];
}
