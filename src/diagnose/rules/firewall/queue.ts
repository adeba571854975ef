import type { NetDelta, PacketQueueDelta, RuleDelta } from "../../../evidence/net/types.ts";
import { formatCount } from "../../../text/format.ts";
import { countDrops } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { findNetwork, type DropFact, type Facts, type Place } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { tellLog } from "../../kernel-log.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { findPlace, nameNetns } from "../../where.ts";
import { deleteRule, listChain, replaceRule } from "./commands.ts";
import { tellEffects, tellFlows } from "./evidence.ts";
import { isQueueDrop } from "./netfilter-drop.ts";
import { describeRule } from "./rule-finding.ts";

/**
 * Packets that a rule gave to a program (NFQUEUE) and that did not come back: no program reads the queue, it was full, it
 * ended with packets in it, or the program said drop. The kernel gives these no reason (net/netfilter/nf_queue.c).
 */
export const queueRule: Rule = {
  id: "netfilter-queue",
  examine(facts: Facts, ledger: Ledger): readonly Finding[] {
    const drops = facts.drops.filter((drop) => !ledger.isClaimed(drop) && isQueueDrop(drop));
    ledger.claim(drops);
    const groups = Map.groupBy(drops, (drop) => `${drop.netns}/${fateOf(drop)}`);
    return [...groups.values()].flatMap((members) => {
      const [first] = members;
      return first === undefined ? [] : [queueFinding(facts, fateOf(first), members)];
    });
  },
};

/** `refused`: did not get into the queue. `judged`: the program said drop. `left`: still in it when the program ended. */
type Fate = "refused" | "judged" | "left";

function fateOf({ location, functions }: DropFact): Fate {
  if (/^_{0,2}nf_queue$|^nfqnl_enqueue/.test(location ?? "")) return "refused";
  const isEnd = functions.some((name) => /^(?:instance_destroy|nfqnl_flush|nfqnl_rcv_nl_event)/.test(name));
  return isEnd && !functions.some((name) => name.startsWith("nfqnl_recv_verdict")) ? "left" : "judged";
}

function queueFinding(facts: Facts, fate: Fate, drops: readonly DropFact[]): Finding {
  const netns = drops[0]?.netns ?? null;
  const network = findNetwork(facts, netns);
  const place = findPlace(facts, netns);
  const rules = network === null ? [] : queueRules(network);
  const numbers = [...new Set(rules.flatMap(queueNumbers))];
  const queues = (network?.packetQueues ?? []).filter(
    ({ queue }) => numbers.length === 0 || numbers.includes(queue),
  );
  const count = countDrops(drops);
  const name = numbers.length === 0 ? "a queue" : `queue ${numbers.join(", ")}`;
  const counted = rules[0]?.packets.delta ?? null;
  const evidence = [
    `${formatCount(count)} drops in ${drops[0]?.location ?? "nf_queue"}`,
    counted === null ? null : `the rule's counter moved by ${formatCount(counted)}`,
    ...tellQueues(fate, name, queues, network),
    fate === "refused" ? tellLog(facts, /nf_queue: full at/) : null,
    tellFlows(drops),
    ...(network === null ? [] : tellEffects(facts, network, drops, null)),
  ];
  const shown = inNetns(place, "cat /proc/net/netfilter/nfnetlink_queue");
  return {
    id: "netfilter-queue",
    severity: "problem",
    summary: summarise(fate, name, queues),
    count,
    netns: nameNetns(facts, netns),
    evidence: evidence.filter((line) => line !== null),
    ...(network === null ? { check: [shown], fix: [] } : ruleAdvice(network, place, fate, rules, shown)),
  };
}

/** The rule, and what is done about it: past a queue that takes nothing the packets can go on, past a verdict not. */
function ruleAdvice(
  network: NetDelta,
  place: Place | null,
  fate: Fate,
  rules: readonly RuleDelta[],
  shown: string,
): Pick<Finding, "check" | "fix" | "rule"> {
  const [rule] = rules;
  if (rule === undefined) return { check: [shown], fix: [] };
  const bypass = fate === "refused" ? replaceRule(place, network, rule, addBypass) : null;
  return {
    check: [shown, listChain(place, network, rule)],
    fix: bypass === null ? deleteRule(place, network, rule) : [bypass],
    rule: describeRule(rule, rule.packets.delta),
  };
}

function summarise(fate: Fate, name: string, queues: readonly PacketQueueDelta[]): string {
  if (fate === "judged") return `The program that reads ${name} said drop`;
  if (fate === "left") return `The program that read ${name} ended, and what waited in it was dropped`;
  return queues.length === 0
    ? `A rule sends packets to ${name}, which no program reads: they are dropped`
    : `${name[0]?.toUpperCase()}${name.slice(1)} to a program is full, packets are dropped`;
}

function tellQueues(
  fate: Fate,
  name: string,
  queues: readonly PacketQueueDelta[],
  network: NetDelta | null,
): string[] {
  if (queues.length > 0) {
    return queues.map(
      ({ queue, portid, waiting, dropped, userDropped }) =>
        `queue ${queue}, netlink port ${portid} (mostly the program's pid): ${formatCount(waiting)} waiting, full +${formatCount(dropped.delta ?? 0)}, program too slow +${formatCount(userDropped.delta ?? 0)}`,
    );
  }
  if (network === null || fate !== "refused") return [];
  return [`/proc/net/netfilter/nfnetlink_queue has no ${name} at the end`];
}

/** Rules that give packets to a queue, those that moved first. */
function queueRules(network: NetDelta): RuleDelta[] {
  return network.rules
    .filter(({ verdicts, packets }) => verdicts.some(({ kind }) => kind === "queue") && packets.delta !== 0)
    .toSorted((a, b) => (b.packets.delta ?? 0) - (a.packets.delta ?? 0));
}

/** `--queue-num 3`, `--queue-balance 0:3`, `queue to 3`, `queue num 3-5`; 0 where a rule names none. */
function queueNumbers({ text }: RuleDelta): number[] {
  const [, first, last] =
    /(?:--queue-num |--queue-balance |\bqueue (?:flags \S+ )?(?:to|num) )(\d{1,5})(?:[:-](\d{1,5}))?/.exec(
      text,
    ) ?? [];
  const low = Number(first ?? 0);
  return Array.from(
    { length: Math.min(64, Math.max(1, Number(last ?? low) - low + 1)) },
    (_, index) => low + index,
  );
}

function addBypass(words: string[]): string[] {
  return words.includes("--queue-bypass") ? words : [...words, "--queue-bypass"];
}
