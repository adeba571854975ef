import { formatCount, plural } from "../../../text/format.ts";
import type { Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { findPlace, nameNetns } from "../../where.ts";
import { MAX_JUDGED, type Unexplained } from "./candidates.ts";
import { acceptDropped } from "./accept.ts";
import { deleteRule, listChain } from "./commands.ts";
import { nameDrops } from "./count.ts";
import { tellEffects, tellFlows, tellJumps } from "./evidence.ts";
import { tellKeeper } from "./keepers.ts";
import { judge, makeSubject } from "./match/condition.ts";
import { describePolicy, describeRule } from "./rule-finding.ts";
import { GONE, listRemains, tellGone, tellGoneSummary } from "./gone.ts";
import { isGone, type PolicySuspect, type RuleSuspect, type Suspect } from "./suspect.ts";
import { traceRecipe } from "./trace-recipe.ts";
import { tellUnread } from "./unread.ts";
import { hookOf, subjectOf, tellPackets, tellRule } from "./words.ts";

/** More candidates than this are counted, not listed: nobody reads them, and the trace command names the one. */
const MAX_LISTED = 6;

type Candidate = RuleSuspect | PolicySuspect;

export function isCandidate(suspect: Suspect): suspect is Candidate {
  return suspect.kind === "rule" || suspect.kind === "policy";
}

/**
 * Drops that no counter proves, with the rules and policies that can have done it: nothing but a trace of the rules can say
 * which, so it is suspicious, not a problem. `isProven`: only one is left, and its counter moved as well, although it also
 * counts other packets, or went with it. The first candidate is the one that comes first in the ruleset.
 */
export function candidateFinding(
  facts: Facts,
  open: Unexplained,
  candidates: readonly Candidate[],
  isProven: boolean,
): Finding {
  const [first] = candidates;
  const { drops, count, netns } = open;
  const place = findPlace(facts, netns);
  const hooks = [...new Set(candidates.flatMap((candidate) => placeOf(candidate).hooks))];
  const hook = hookOf(hooks, drops);
  const isOne = candidates.length === 1;
  const recipe =
    first === undefined || candidates.every(isGone)
      ? null
      : traceRecipe(place, { ...placeOf(first), hook, devices: first.devices }, drops);
  const listed = candidates.slice(0, MAX_LISTED);
  const rest = candidates.length - listed.length;
  const effects =
    first === undefined
      ? []
      : tellEffects(facts, first.network, drops, first.kind === "rule" ? first.rule : null);
  const lost = isOne && first !== undefined && isGone(first) ? first : null;
  const why =
    isOne &&
    first?.kind === "rule" &&
    drops.slice(0, MAX_JUDGED).every((drop) => judge(first.match, makeSubject(drop)) === "yes")
      ? "all that this rule asks for is true of these packets"
      : "nothing else in this namespace that trace can read fits these packets";
  const proof = isProven || lost !== null ? "" : "; the trace command proves it";
  const evidence = [
    `${formatCount(count)} ${nameDrops(drops, drops[0]?.hook ?? hook)} that no counter explains`,
    lost === null ? null : tellGone(lost),
    tellFlows(drops),
    isOne ? `${why}${proof}` : "the trace command says which one it is:",
    ...listed.filter((one) => !isOne || one.counted !== null).map(describeCandidate),
    rest > 0 ? `and ${plural(rest, "more candidate")}` : null,
    first?.kind === "rule" ? tellJumps(first.network, first.rule) : null,
    tellUnread(facts, netns),
    ...effects,
    first === undefined || !isOne ? null : tellKeeper(placeOf(first), drops),
  ];
  return {
    id: "netfilter-rule",
    severity: isProven ? "problem" : "suspicious",
    summary: lost === null ? summarise(candidates, open, isProven) : tellGoneSummary(lost, drops, isProven),
    count,
    netns: nameNetns(facts, netns),
    evidence: evidence.filter((line) => line !== null),
    check: [
      ...new Set(
        listed.map((candidate) =>
          isGone(candidate)
            ? listRemains(place, candidate)
            : listChain(place, candidate.network, placeOf(candidate)),
        ),
      ),
      ...(recipe === null ? [] : [recipe]),
    ],
    fix: lost === null ? fixes(facts, open, listed) : [GONE],
    ...(first === undefined
      ? {}
      : { rule: first.kind === "rule" ? describeRule(first.rule, first.counted) : describePolicy(first) }),
  };
}

function placeOf(candidate: Candidate): RuleSuspect["rule"] | PolicySuspect["chain"] {
  return candidate.kind === "rule" ? candidate.rule : candidate.chain;
}

function summarise(candidates: readonly Candidate[], { drops }: Unexplained, isProven: boolean): string {
  const [first] = candidates;
  const hook = hookOf([...new Set(candidates.flatMap((candidate) => placeOf(candidate).hooks))], drops);
  const packets = tellPackets(hook, drops, false);
  if (candidates.length > 1)
    return `One of ${candidates.length} rules without a telling counter drops ${packets}`;
  if (first?.kind === "policy")
    return `The default policy of chain ${first.chain.chain} probably drops ${packets}`;
  if (first === undefined) return `Netfilter drops ${packets}`;
  if (isProven) return tellRule(first, drops);
  return tellRule(first, drops, {
    subject: `${subjectOf(first.rule)} ${whyOpen(first)}`,
    adverb: "probably ",
  });
}

function whyOpen({ rule, counted, isReset }: RuleSuspect): string {
  if (isReset) return "whose counter was set back during the run";
  if (!rule.hasCounter) return "without a counter";
  return counted === null ? "whose counter could not be read at both ends" : "that also counts other packets";
}

function describeCandidate(candidate: Candidate): string {
  if (candidate.kind === "policy") {
    const { tool, family, table, chain } = candidate.chain;
    return `policy drop of ${tool === "nft" ? `${family} ${table} ${chain}` : `${table}/${chain} (${tool})`}`;
  }
  const { tool, family, table, chain, handle, number, text } = candidate.rule;
  const place =
    tool === "nft"
      ? `${family} ${table} ${chain} handle ${handle ?? "?"}`
      : `${tool} ${table}/${chain} #${number}`;
  const counted =
    candidate.counted === null ? "" : ` (counted ${formatCount(candidate.counted)}, also others)`;
  return `${place}: ${text}${counted}`;
}

/** One candidate is mended like a cause; of several each has its command, none of which is to be pasted unseen. */
function fixes(facts: Facts, { netns, drops }: Unexplained, candidates: readonly Candidate[]): string[] {
  const place = findPlace(facts, netns);
  const rules = candidates.flatMap((candidate) => (candidate.kind === "rule" ? candidate.rule : []));
  const commands = candidates.map((candidate) =>
    isGone(candidate)
      ? []
      : candidate.kind === "policy"
        ? acceptDropped(place, candidate.network, candidate.chain, drops)
        : deleteRule(place, candidate.network, candidate.rule, rules),
  );
  if (candidates.length === 1) return commands.flat();
  return commands.flatMap((lines) =>
    lines.filter((line) => !line.startsWith("#")).map((line) => `# if it is this one: ${line}`),
  );
}
