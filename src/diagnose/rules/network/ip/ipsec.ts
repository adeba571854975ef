import { describeCounter } from "../../../../catalogue/load.ts";
import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatCount } from "../../../../text/format.ts";
import { countDrops, rankDrops, severityOf, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import type { DropFact, Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Ledger, Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** A replayed or late packet at a change of keys costs one or two. */
const MANY = 3;
/** Counters and events are read a little apart: the drops may be this much more than the counter says. */
const SLACK = 1.1;

/**
 * Where packets end that a policy or state refuses. Measured on 6.18 (all NOT_SPECIFIED): input policy in the transport's own receive
 * function, missing outgoing state in `dst_discard_out`, a blocking output policy nowhere: the call fails with EPERM.
 */
const SITES =
  /^(?:__?xfrm\w*|xfrm[46i]?_\w+|dst_discard(?:_out|_sk)?|__udp[46]_lib_rcv|udpv?6?_(?:queue_rcv_one_skb|unicast_rcv_skb|rcv)|tcp_v[46]_(?:rcv|do_rcv)|rawv?6?_rcv|ip6?_forward|ip6?_protocol_deliver_rcu|esp\w*|ah\w*|vti\w*|icmpv?6?_rcv|sk_filter_trim_cap)$/;

const ERRORS = ["UdpInErrors", "Udp6InErrors", "IpOutDiscards"];

const FIXES: readonly { readonly names: RegExp; readonly fix: string }[] = [
  {
    names: /PolBlock|NoPols|PolError|PolDead/,
    fix: "# the policy forbids it: ip xfrm policy delete dir … (the list above names it), or correct the tunnel's configuration",
  },
  {
    names: /TmplMismatch/,
    fix: "# the policy wants these packets encrypted and they are not: start the tunnel on the other side, or delete the policy",
  },
  {
    names: /NoStates|StateExpired|AcquireError/,
    fix: "# no security association: start or renegotiate the tunnel (swanctl --initiate, ipsec up)",
  },
  {
    names: /State|Proto|Mode|Mismatch|Seq/,
    fix: "# both sides disagree: renegotiate the tunnel, compare keys, modes and replay windows",
  },
];

/** IPsec: packets refused by a policy, or without a usable security association. The Xfrm* counters of the namespace say why. */
export const ipsec: Rule = {
  id: "ipsec",
  examine(facts, ledger) {
    return facts.networks.flatMap((network) => tell(facts, ledger, network));
  },
};

function tell(facts: Facts, ledger: Ledger, network: NetDelta): Finding[] {
  const netns = network.netns.inode;
  const moved = network.counters.filter(
    ({ name, delta }) => name.startsWith("Xfrm") && delta > 0 && !ledger.isAccounted(netns, name),
  );
  const open = openDrops(facts, ledger).filter((drop) => drop.netns === netns);
  const exact = open.filter(({ reason }) => reason === "XFRM_POLICY");
  if (moved.length === 0 && exact.length === 0) return [];
  const counted = moved.reduce((sum, { delta }) => sum + delta, 0);
  const drops = [...exact, ...takeVague(open, counted - countDrops(exact))];
  ledger.claim(drops);
  for (const { name } of moved) ledger.account(netns, name);
  if (drops.length > 0) for (const name of ERRORS) ledger.account(netns, name);
  const [most] = moved.toSorted((a, b) => b.delta - a.delta);
  const place = findPlace(facts, netns);
  const isOut = most?.name.startsWith("XfrmOut") ?? false;
  const peers = rankDrops(drops, ({ source, destination }) => (isOut ? destination : source));
  const count = Math.max(counted, countDrops(drops));
  const meaning = most === undefined ? null : (describeCounter(most.name)?.meaning ?? null);
  const fix = FIXES.find(({ names }) => most !== undefined && names.test(most.name))?.fix ?? null;
  return [
    makeFinding(facts, {
      id: "ipsec",
      severity: severityOf(count, facts.seconds, MANY),
      summary: `IPsec refuses ${isOut ? "outgoing" : "incoming"} packets${peers.length === 0 ? "" : ` ${isOut ? "to" : "from"} ${tellShares(peers, 2) ?? ""}`}${most === undefined ? "" : `: ${most.name} +${formatCount(most.delta)}`}`,
      count,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}`,
        meaning,
        moved.length < 2 ? null : moved.map(({ name, delta }) => `${name} +${formatCount(delta)}`).join(", "),
        drops.length === 0 && !facts.isFiltered
          ? "no drop event: the programs that send get an error instead (EPERM, ENETUNREACH)"
          : null,
        tellFlows(drops),
      ],
      check: [
        inNetns(place, "ip -s xfrm policy"),
        inNetns(place, "ip -s xfrm state"),
        inNetns(place, "cat /proc/net/xfrm_stat"),
      ],
      fix: [fix],
    }),
  ];
}

/** Drops without a reason at places where IPsec drops, as far as the counters cover them. */
function takeVague(open: readonly DropFact[], counted: number): DropFact[] {
  const vague = open.filter((drop) => isVague(drop) && isFreedAt(drop, SITES));
  return countDrops(vague) <= counted * SLACK ? vague : [];
}
