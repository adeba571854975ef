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
import { findJumps } from "./jumps.ts";
import type { Suspect } from "./suspect.ts";

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
  const firewall = network.state.configuration?.firewall ?? null;
  const shared = countNames(network.rules);
  return network.rules.flatMap((rule): Suspect[] => {
    const elements = mappedElements(network, rule);
    const dropping = elements.filter(({ verdict }) => verdict !== null && isDropping(verdict.kind));
    const drops = rule.verdicts.some(({ kind }) => isDropping(kind)) || dropping.length > 0;
    const refuses = rule.verdicts.some(({ kind, target }) => kind === "other" && REFUSING.has(target ?? ""));
    if (!drops && !refuses) return [];
    const counting = dropping.filter(({ packets }) => packets.after !== null);
    // Elements that count tell better than the rule that looks them up.
    const byElements =
      !rule.hasCounter && counting.length > 0 && counting.length === dropping.length && isOnlyMap(rule);
    const counted = byElements
      ? counting.reduce((sum, { packets }) => sum + (packets.delta ?? 0), 0)
      : rule.packets.delta;
    return [
      {
        kind: "rule",
        network,
        rule,
        elements: counting.filter(({ packets }) => (packets.delta ?? 0) > 0),
        match: addJumps(readMatch(rule, dropping), network, rule),
        devices:
          firewall?.chains.find(
            (chain) =>
              chain.tool === rule.tool &&
              chain.backend === rule.backend &&
              chain.family === rule.family &&
              chain.table === rule.table &&
              chain.chain === rule.chain,
          )?.devices ?? [],
        counted,
        isExact: drops && (byElements || countsOnlyDrops(rule, shared)),
        isReset: wasReset(rule.packets),
      },
    ];
  });
}

/** The verdict comes from a named map, and from nothing else in the rule. */
function isOnlyMap({ text }: RuleDelta): boolean {
  return /\bvmap @/.test(text) && !/ (?:drop|reject)\b/.test(text);
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

function readMatch(rule: RuleDelta, dropping: readonly SetElementDelta[]): RuleMatch {
  if (rule.tool !== "nft") return readIptables(rule.text);
  return readNft(rule.text, droppingKeys(keysAmong(dropping)));
}

/** Keys of a named map among these elements. */
function keysAmong(elements: readonly SetElementDelta[]): WantedKeys["keysOf"] {
  return (map) => {
    const keys = elements.filter(({ set }) => set === map).map(({ key }) => key);
    return keys.length === 0 ? null : keys;
  };
}

/** Chains are seldom nested deeper; a loop of jumps cannot be loaded. */
const MAX_DEPTH = 8;

/** What a packet must be like to get to the rule's chain at all, where only one rule sends packets there. */
function addJumps(match: RuleMatch, network: NetDelta, rule: RuleDelta, depth = 0): RuleMatch {
  if (rule.hook !== null || depth >= MAX_DEPTH) return match;
  const [jump, second] = findJumps(network.rules, rule, network.setElements);
  if (jump === undefined || second !== undefined) return { ...match, isComplete: false };
  const own =
    jump.tool === "nft" ? readNft(jump.text, keysTo(network, jump, rule.chain)) : readIptables(jump.text);
  const isSure = own.isComplete && jump.probability === null && jump.every === null;
  return addJumps(
    { conditions: [...match.conditions, ...own.conditions], isComplete: match.isComplete && isSure },
    network,
    jump,
    depth + 1,
  );
}

/** Elements of verdict maps that lead to a chain. */
function keysTo(network: NetDelta, jump: RuleDelta, chain: string): WantedKeys {
  const leading = mappedElements(network, jump).filter(
    ({ verdict }) => (verdict?.kind === "jump" || verdict?.kind === "goto") && verdict.target === chain,
  );
  return {
    keysOf: keysAmong(leading),
    isWanted: (verdict, target) => (verdict === "jump" || verdict === "goto") && target === chain,
  };
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
  const chains = network.state.configuration?.firewall?.chains ?? [];
  return network.chains
    .filter((chain) => chain.policy === "drop")
    .map((chain) => ({
      kind: "policy",
      network,
      chain,
      devices:
        chains.find(
          (other) =>
            other.family === chain.family && other.table === chain.table && other.chain === chain.chain,
        )?.devices ?? [],
      counted: countPolicy(network, chain),
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
