import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatBytes, formatCount, plural } from "../../../../text/format.ts";
import { countDrops, roundUp, severityOf, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { counterDelta, findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, readNumbers, tellNetns } from "../../../where.ts";
import { familyOf, type Family } from "../support/addresses.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** A piece is lost now and then on any path; this many datagrams in a run are a path that loses pieces. */
const MANY = 5;
/** With the memory for pieces this full at the end, the limit is what costs them. */
const FULL = 0.9;

const REASONS = new Set(["FRAG_REASM_TIMEOUT", "FRAG_TOO_FAR", "DUP_FRAG"]);
const SITES =
  /^(?:ip_expire|ip6?_frag_(?:queue|reinit)|ip_defrag|ipv6_frag_rcv|inet_frag_(?:rbtree_purge|destroy)\w*|inet_frag_reasm_\w+|ip6frag_expire_frag_queue|nf_ct_frag6_(?:gather|queue))$/;

/** What belongs to a family: its counters (nstat), its settings, its place in /proc/net/sockstat. */
interface Kind {
  readonly fails: string;
  readonly timeouts: string;
  readonly others: readonly string[];
  readonly limit: string;
  readonly time: string;
  readonly memory: string;
}

const KINDS: Readonly<Record<Family, Kind>> = {
  ipv4: {
    fails: "IpReasmFails",
    timeouts: "IpReasmTimeout",
    others: ["IpReasmReqds", "IpReasmOKs"],
    limit: "net.ipv4.ipfrag_high_thresh",
    time: "net.ipv4.ipfrag_time",
    memory: "FRAG.memory",
  },
  ipv6: {
    fails: "Ip6ReasmFails",
    timeouts: "Ip6ReasmTimeout",
    others: ["Ip6ReasmReqds", "Ip6ReasmOKs"],
    limit: "net.ipv6.ip6frag_high_thresh",
    time: "net.ipv6.ip6frag_time",
    memory: "FRAG6.memory",
  },
};

/** Fragments that never became a datagram: pieces missing, sent twice, or no memory for them (net/ipv4/ip_fragment.c). */
export const fragments: Rule = {
  id: "fragments-lost",
  examine(facts, ledger) {
    const open = openDrops(facts, ledger).filter(
      (drop) =>
        (drop.reason !== null && REASONS.has(drop.reason)) || (isVague(drop) && isFreedAt(drop, SITES)),
    );
    const groups = new Map<string, Group>();
    const groupOf = (netns: number | null, family: Family) => {
      const key = `${netns} ${family}`;
      const group = groups.get(key) ?? { netns, family, drops: [] };
      groups.set(key, group);
      return group;
    };
    for (const drop of open)
      groupOf(drop.netns, familyOf(drop.destination ?? drop.source ?? "") ?? "ipv4").drops.push(drop);
    for (const network of facts.isFiltered ? [] : facts.networks) {
      const netns = network.netns.inode;
      for (const family of FAMILIES) {
        const name = KINDS[family].fails;
        if (counterDelta(network, name) > 0 && !ledger.isAccounted(netns, name)) groupOf(netns, family);
      }
    }
    return [...groups.values()].map((group) => {
      const { netns, family, drops } = group;
      ledger.claim(drops);
      if (netns !== null)
        for (const name of [KINDS[family].fails, KINDS[family].timeouts]) ledger.account(netns, name);
      return tell(facts, findNetwork(facts, netns), group);
    });
  },
};

const FAMILIES: readonly Family[] = ["ipv4", "ipv6"];

interface Group {
  readonly netns: number | null;
  readonly family: Family;
  readonly drops: DropFact[];
}

function tell(facts: Facts, network: NetDelta | null, { netns, family, drops }: Group): Finding {
  const place = findPlace(facts, netns);
  const kind = KINDS[family];
  const failed = counterDelta(network, kind.fails);
  const late = counterDelta(network, kind.timeouts);
  const count = countDrops(drops);
  const memory = tellMemory(facts, network, kind);
  const isDuplicate = drops.length > 0 && drops.every(({ reason }) => reason === "DUP_FRAG") && failed === 0;
  const [seconds] = readNumbers(facts, network, kind.time);
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
      tellCounters(network, [kind.fails, kind.timeouts, ...kind.others]),
      memory.text,
      late > 0 && seconds !== undefined
        ? `a datagram waits ${seconds} s for its pieces (${kind.time})`
        : null,
      isDuplicate
        ? "the path duplicates packets, or a sender reuses identifiers too fast"
        : "one lost piece costs the whole datagram: a firewall, a full queue or a smaller MTU on the way",
      tellFlows(drops),
    ],
    check: [
      inNetns(place, `nstat -az ${[kind.fails, kind.timeouts, ...kind.others].join(" ")}`),
      inNetns(place, `sysctl ${kind.limit} ${kind.time}`),
    ],
    fix:
      memory.isFull && memory.limit !== null
        ? [inNetns(place, `sysctl -w ${kind.limit}=${roundUp(Math.max(memory.limit * 4, USUAL_MEMORY))}`)]
        : isDuplicate
          ? [
              "# find what sends them twice: a loop of switches, a mirror port, two paths with the same address",
            ]
          : ["# avoid fragments: let the sender's datagrams fit the path MTU"],
  });
}

/** The kernel's own default of both limits (net/ipv4/ip_fragment.c, net/ipv6/reassembly.c): what is below was set too low. */
const USUAL_MEMORY = 4 * 1024 * 1024;

function tellMemory(
  facts: Facts,
  network: NetDelta | null,
  kind: Kind,
): { readonly isFull: boolean; readonly limit: number | null; readonly text: string | null } {
  const used = network?.state.counters.sockstat?.[kind.memory] ?? null;
  const limit = readNumbers(facts, network, kind.limit)[0] ?? null;
  if (used === null || limit === null || limit === 0) return { isFull: false, limit, text: null };
  return {
    isFull: used >= FULL * limit,
    limit,
    text: `fragments held at the end: ${formatBytes(used)} of ${formatBytes(limit)} (${kind.limit})`,
  };
}
