import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatBytes, formatCount, plural } from "../../../../text/format.ts";
import { countDrops, roundUp, severityOf, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { counterDelta, findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, readNumbers, tellNetns } from "../../../where.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** A piece is lost now and then on any path; this many datagrams in a run are a path that loses pieces. */
const MANY = 5;
/** With the memory for pieces this full at the end, the limit is what costs them. */
const FULL = 0.9;

const REASONS = new Set(["FRAG_REASM_TIMEOUT", "FRAG_TOO_FAR", "DUP_FRAG"]);
const SITES =
  /^(?:ip_expire|ip6?_frag_(?:queue|reinit)|ip_defrag|ipv6_frag_rcv|inet_frag_(?:rbtree_purge|destroy)\w*|inet_frag_reasm_\w+|ip6frag_expire_frag_queue|nf_ct_frag6_(?:gather|queue))$/;
const FAILS = ["IpReasmFails", "Ip6ReasmFails"];
const TIMEOUTS = ["IpReasmTimeout", "Ip6ReasmTimeout"];

/** Fragments that never became a datagram: pieces missing, sent twice, or no memory for them (net/ipv4/ip_fragment.c). */
export const fragments: Rule = {
  id: "fragments-lost",
  examine(facts, ledger) {
    const open = openDrops(facts, ledger).filter(
      (drop) =>
        (drop.reason !== null && REASONS.has(drop.reason)) || (isVague(drop) && isFreedAt(drop, SITES)),
    );
    const groups = Map.groupBy(open, ({ netns }) => netns);
    for (const network of facts.networks) {
      const netns = network.netns.inode;
      const isOpen = FAILS.some(
        (name) => counterDelta(network, name) > 0 && !ledger.isAccounted(netns, name),
      );
      if (isOpen && !facts.isFiltered && !groups.has(netns)) groups.set(netns, []);
    }
    return [...groups].map(([netns, drops]) => {
      ledger.claim(drops);
      if (netns !== null) for (const name of [...FAILS, ...TIMEOUTS]) ledger.account(netns, name);
      return tell(facts, findNetwork(facts, netns), netns, drops);
    });
  },
};

function tell(
  facts: Facts,
  network: NetDelta | null,
  netns: number | null,
  drops: readonly DropFact[],
): Finding {
  const place = findPlace(facts, netns);
  const failed = FAILS.reduce((sum, name) => sum + counterDelta(network, name), 0);
  const late = TIMEOUTS.reduce((sum, name) => sum + counterDelta(network, name), 0);
  const count = countDrops(drops);
  const memory = tellMemory(facts, network);
  const isDuplicate = drops.length > 0 && drops.every(({ reason }) => reason === "DUP_FRAG") && failed === 0;
  const [seconds] = readNumbers(facts, network, "net.ipv4.ipfrag_time");
  return makeFinding(facts, {
    id: "fragments-lost",
    severity: isDuplicate ? "suspicious" : severityOf(Math.max(count, failed), facts.seconds, MANY),
    summary: isDuplicate
      ? `${plural(count, "fragment")} came twice or overlapped another and ${count === 1 ? "was" : "were"} dropped`
      : memory.isFull
        ? `Datagrams in fragments are lost: the memory for putting them together is full`
        : `Datagrams in fragments are lost: ${failed > 0 ? formatCount(failed) : formatCount(count)} could not be put together${late > 0 ? ", pieces never came" : ""}`,
    count: Math.max(count, failed),
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      tellCounters(network, [
        ...FAILS,
        ...TIMEOUTS,
        "IpReasmReqds",
        "IpReasmOKs",
        "Ip6ReasmReqds",
        "Ip6ReasmOKs",
      ]),
      memory.text,
      late > 0 && seconds !== undefined
        ? `a datagram waits ${seconds} s for its pieces (net.ipv4.ipfrag_time)`
        : null,
      isDuplicate
        ? "the path duplicates packets, or a sender reuses identifiers too fast"
        : "one lost piece costs the whole datagram: a firewall, a full queue or a smaller MTU on the way",
      tellFlows(drops),
    ],
    check: [
      inNetns(place, "nstat -az 'IpReasm*' 'IpFrag*' 'Ip6Reasm*'"),
      inNetns(place, "sysctl net.ipv4.ipfrag_high_thresh net.ipv4.ipfrag_time"),
    ],
    fix:
      memory.isFull && memory.limit !== null
        ? [
            inNetns(
              place,
              `sysctl -w net.ipv4.ipfrag_high_thresh=${roundUp(Math.max(memory.limit * 4, USUAL_MEMORY))}`,
            ),
          ]
        : isDuplicate
          ? [
              "# find what sends them twice: a loop of switches, a mirror port, two paths with the same address",
            ]
          : ["# avoid fragments: let the sender's datagrams fit the path MTU"],
  });
}

/** The kernel's own default of net.ipv4.ipfrag_high_thresh (net/ipv4/ip_fragment.c): what is below was set too low. */
const USUAL_MEMORY = 4 * 1024 * 1024;

function tellMemory(
  facts: Facts,
  network: NetDelta | null,
): { readonly isFull: boolean; readonly limit: number | null; readonly text: string | null } {
  const used = network?.state.counters.sockstat?.["FRAG.memory"] ?? null;
  const limit = readNumbers(facts, network, "net.ipv4.ipfrag_high_thresh")[0] ?? null;
  if (used === null || limit === null || limit === 0) return { isFull: false, limit, text: null };
  return {
    isFull: used >= FULL * limit,
    limit,
    text: `fragments held at the end: ${formatBytes(used)} of ${formatBytes(limit)} (net.ipv4.ipfrag_high_thresh)`,
  };
}
