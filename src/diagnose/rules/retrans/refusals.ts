import { formatCount, plural } from "../../../text/format.ts";
import { quoteShell } from "../../../text/escape.ts";
import { inNetns } from "../../commands.ts";
import type { DropFact, Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";
import { deleteRule, listChain } from "../firewall/commands.ts";
import { judge, makeSubject } from "../firewall/match/condition.ts";
import { describeRule } from "../firewall/rule-finding.ts";
import type { RuleSuspect } from "../firewall/suspect.ts";
import { listSuspects } from "../firewall/suspects.ts";
import { isReject, tellRule } from "../firewall/words.ts";
import type { ResetFlow, RetransFacts } from "./facts.ts";
import { sumResets, tellOwners } from "./words.ts";

/** Fewer refused connections are daily life: somebody looks whether a service is back. */
const MANY = 5;

/** Connections that were refused, and the resets that are left. */
export function examineRefusals({ facts, resets }: RetransFacts): { findings: Finding[]; rest: ResetFlow[] } {
  const closed = resets.filter(isClosedPort);
  const attempts = resets.filter(isRefused);
  const turned = new Map(attempts.map((reset) => [tuple(reset, "straight"), reset]));
  // Both ends on this machine: one finding, with the port's side and who tried.
  const answered = new Set(closed.flatMap((reset) => turned.get(tuple(reset, "turned")) ?? []));
  const findings: Finding[] = [];
  for (const group of groupBy(closed, (r) => `${r.netns} ${r.sourcePort}`))
    if (sumResets(group) >= MANY) findings.push(tellClosedPort(facts, group, turned));
  const open = attempts.filter((reset) => !answered.has(reset));
  const ruled = new Set<ResetFlow>();
  for (const { suspect, flows } of assignRules(facts, open)) {
    for (const flow of flows) ruled.add(flow);
    findings.push(tellRejectRule(facts, suspect, flows));
  }
  const left = open.filter((reset) => !ruled.has(reset));
  for (const group of groupBy(left, (r) => `${r.netns} ${r.destination} ${r.destinationPort}`))
    if (sumResets(group) >= MANY) findings.push(tellRefused(facts, group));
  const done = new Set([...closed, ...attempts]);
  return { findings, rest: resets.filter((reset) => !done.has(reset)) };
}

/** A SYN that meets no listener; the reason is the kernel's, older ones give none and have no socket either. */
function isClosedPort(reset: ResetFlow): boolean {
  return (
    reset.direction === "sent" &&
    (reset.reason === "NO_SOCKET" || (reset.reason === null && reset.state === null))
  );
}

function isRefused(reset: ResetFlow): boolean {
  return reset.direction === "received" && reset.state === "SYN_SENT";
}

function tuple(r: ResetFlow, way: "straight" | "turned"): string {
  const ends = [`${r.source} ${r.sourcePort}`, `${r.destination} ${r.destinationPort}`];
  return (way === "straight" ? ends : ends.reverse()).join(" ");
}

function groupBy(resets: readonly ResetFlow[], key: (reset: ResetFlow) => string): ResetFlow[][] {
  return [...Map.groupBy(resets, key).values()];
}

function tellClosedPort(
  facts: Facts,
  group: readonly ResetFlow[],
  turned: ReadonlyMap<string, ResetFlow>,
): Finding {
  const [first] = group;
  const netns = first?.netns ?? null;
  const port = first?.sourcePort ?? null;
  const place = findPlace(facts, netns);
  const clients = [...new Set(group.flatMap((reset) => reset.destination ?? []))];
  const callers = group.flatMap((reset) => turned.get(tuple(reset, "turned")) ?? []);
  const owners = tellOwners(callers);
  return {
    id: "reset-closed-port",
    severity: "suspicious",
    summary: `${capitalise(tellNetns(facts, netns))} refused ${plural(sumResets(group), "packet")} for port ${port ?? "?"}: nothing listens there`,
    count: sumResets(group),
    netns: nameNetns(facts, netns),
    evidence: [
      `resets sent without a socket${first?.reason === null ? "" : ` (${first?.reason})`} to ${clients.slice(0, 3).join(", ")}${clients.length > 3 ? ` and ${clients.length - 3} more` : ""}`,
      ...(callers.length === 0
        ? []
        : [
            `${plural(sumResets(callers), "attempt")} came from ${tellNetns(facts, callers[0]?.netns ?? null)}${owners.length === 0 ? "" : `, by ${tellSome(owners)}`}`,
          ]),
    ],
    check: [inNetns(place, `ss -lntp 'sport = :${port ?? 0}'`)],
    fix: [`# start the service on port ${port ?? "?"}, or correct the clients`],
  };
}

function tellRefused(facts: Facts, group: readonly ResetFlow[]): Finding {
  const [first] = group;
  const place = findPlace(facts, first?.netns ?? null);
  const owners = tellOwners(group);
  const to = first?.destination ?? "";
  return {
    id: "reset-refused",
    severity: "suspicious",
    summary: `${to} refuses connections to port ${first?.destinationPort ?? "?"}: ${plural(sumResets(group), "attempt")} from ${tellNetns(facts, first?.netns ?? null)} ${sumResets(group) === 1 ? "was" : "were"} reset`,
    count: sumResets(group),
    netns: nameNetns(facts, first?.netns ?? null),
    evidence: [
      `resets received in answer to a SYN${owners.length === 0 ? "" : `; attempts by ${tellSome(owners)}`}`,
      "the host there is alive: nothing listens on that port, or its firewall answers with a reset",
    ],
    check: [inNetns(place, `ip route get ${quoteShell(to)}`)],
    fix: ["# start the service there, or correct the address or the port (or its firewall)"],
  };
}

/** Rules of this machine that answer with a reset, counted, and fit the attempts. */
function assignRules(
  facts: Facts,
  attempts: readonly ResetFlow[],
): { suspect: RuleSuspect; flows: ResetFlow[] }[] {
  if (attempts.length === 0) return [];
  const suspects = facts.networks
    .flatMap(listSuspects)
    .filter((suspect): suspect is RuleSuspect => suspect.kind === "rule")
    .filter(({ rule, counted }) => isReject(rule) && /tcp[- ]reset/.test(rule.text) && counted !== 0);
  return suspects.flatMap((suspect) => {
    const flows = attempts.filter((reset) => {
      const drop = toPacket(reset);
      const isFamily = suspect.rule.tool !== (drop.source?.includes(":") === true ? "iptables" : "ip6tables");
      return isFamily && judge(suspect.match, makeSubject(drop)) !== "no";
    });
    return flows.length === 0 ? [] : [{ suspect, flows }];
  });
}

/** The SYN that was refused, as rules see packets. */
function toPacket({ source, sourcePort, destination, destinationPort, count }: ResetFlow): DropFact {
  const addresses = { proto: "tcp", source, sourcePort, destination, destinationPort, icmp: null };
  const place = { location: null, functions: [], hook: null, dev: null, netns: null };
  return { reason: null, ...place, ...addresses, benign: false, count, bytes: 0 };
}

function tellRejectRule(facts: Facts, suspect: RuleSuspect, flows: readonly ResetFlow[]): Finding {
  const { network, rule, counted } = suspect;
  const place = findPlace(facts, network.netns.inode);
  const count = sumResets(flows);
  const owners = tellOwners(flows);
  const isProved = counted !== null && counted >= count;
  return {
    id: "reset-by-rule",
    severity: isProved && count >= MANY ? "problem" : "suspicious",
    summary: `${tellRule(suspect, flows.map(toPacket))} with a reset`,
    count,
    netns: nameNetns(facts, network.netns.inode),
    evidence: [
      `${plural(count, "attempt")} of ${tellNetns(facts, flows[0]?.netns ?? null)} ended with a reset${owners.length === 0 ? "" : `, by ${tellSome(owners)}`}`,
      counted === null
        ? "the rule has no counter: that it was this one is only likely"
        : `its counter moved by ${formatCount(counted)}; no socket sent these resets`,
    ],
    check: [listChain(place, network, rule)],
    fix: deleteRule(place, network, rule),
    rule: describeRule(rule, counted),
  };
}

function tellSome(names: readonly string[]): string {
  return `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
}

const capitalise = (text: string) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
