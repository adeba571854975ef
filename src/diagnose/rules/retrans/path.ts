import { formatCount, plural } from "../../../text/format.ts";
import { quoteShell } from "../../../text/escape.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, findNetwork, type Facts } from "../../facts.ts";
import type { Finding, Severity } from "../../finding.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";
import {
  countKinds,
  countSegments,
  findFarEnd,
  NOTHING,
  type RetransFlow,
  type RetransRule,
} from "./facts.ts";
import {
  formatShare,
  listFlows,
  shareOf,
  tellKinds,
  tellPattern,
  tellSentAgain,
  tellTargets,
  tellWhat,
} from "./words.ts";

/** From this part of all segments on users notice; below the other it is what any network does. */
const NOTICEABLE = 0.01;
const USUAL = 0.001;
/** Shares of fewer segments mean nothing. */
const ENOUGH = 10;

/** Attempts that found no way out: they are not even segments. */
export const noRoute: RetransRule = {
  id: "retrans-no-route",
  examine({ facts }, open) {
    const EHOSTUNREACH = -113;
    const flows = open.filter((flow) => {
      const refused = flow.unsent.reduce(
        (sum, { error, count }) => sum + (error === EHOSTUNREACH ? count : 0),
        0,
      );
      // A few segments can have gone out before the route went away.
      return refused > 0 && refused >= flow.packets;
    });
    const groups = Map.groupBy(flows, (flow) => flow.netns);
    return {
      flows,
      findings: [...groups].map(([netns, group]): Finding => {
        const place = findPlace(facts, netns);
        const attempts = group.flatMap(({ unsent }) => unsent).reduce((sum, { count }) => sum + count, 0);
        const to = group[0]?.destination ?? "";
        return {
          id: "retrans-no-route",
          severity: "problem",
          summary: `Open connections from ${tellNetns(facts, netns)} to ${tellTargets(group)} have no route any more`,
          count: attempts,
          netns: nameNetns(facts, netns),
          evidence: [
            `${formatCount(attempts)} attempts to send again ended with "no route to host"`,
            listFlows(group),
          ],
          check: [inNetns(place, `ip route get ${quoteShell(to)}`), inNetns(place, "ip -s link")],
          fix: [inNetns(place, "ip route add default via GATEWAY   # restore the route that went away")],
        };
      }),
    };
  },
};

/** Counters of one namespace that tell that the peer had the data already. */
const NEEDLESS = ["TcpExtTCPDSACKRecv", "TcpExtTCPDSACKOfoRecv"];
const UNDONE = [
  "TcpExtTCPSpuriousRTOs",
  "TcpExtTCPDSACKUndo",
  "TcpExtTCPFullUndo",
  "TcpExtTCPPartialUndo",
  "TcpExtTCPLossUndo",
];

/** Sent again for nothing: the data had arrived, its acknowledgement was late or lost. Judged per namespace: counters know no connection. */
export const spurious: RetransRule = {
  id: "retrans-spurious",
  examine({ facts }, open) {
    const findings: Finding[] = [];
    const explained: RetransFlow[] = [];
    for (const [netns, all] of Map.groupBy(open, (flow) => flow.netns)) {
      const flows = all.filter((flow) => countKinds([flow], ["tlp", "rto", "fast"]) > 0);
      const network = findNetwork(facts, netns);
      const sum = (names: readonly string[]) =>
        names.reduce((total, name) => total + counterDelta(network, name), 0);
      const segments = countSegments(flows);
      const needless = sum(NEEDLESS);
      // Half: a DSACK can report several segments, and some of them get lost as well.
      if (flows.length === 0 || needless === 0 || needless < segments / 2) continue;
      const place = findPlace(facts, netns);
      findings.push({
        id: "retrans-spurious",
        severity:
          (shareOf(facts, netns, segments) ?? 0) >= NOTICEABLE && segments >= ENOUGH ? "suspicious" : "info",
        summary: `Most of what ${tellNetns(facts, netns)} sent again to ${tellTargets(flows)} had arrived: acknowledgements were late or lost, not the data`,
        count: segments,
        netns: nameNetns(facts, netns),
        evidence: [
          `${tellWhat(flows)}: ${tellKinds(flows)}`,
          `the peers reported ${formatCount(needless)} of them as duplicates (TcpExtTCPDSACKRecv); TCP took back its slow-down ${plural(sum(UNDONE), "time")}; ${plural(counterDelta(network, "TcpExtTCPLossProbes"), "loss probe")}`,
          ...tellPattern(flows),
          listFlows(flows),
        ],
        check: [
          inNetns(place, "ss -ti"),
          inNetns(place, "nstat -az TcpExtTCPDSACKRecv TcpExtTCPLossProbes TcpExtTCPSpuriousRTOs"),
        ],
        fix: ["# harmless by itself: look for a slow way back, or a peer that stalls"],
      });
      explained.push(...flows);
    }
    return { findings, flows: explained };
  },
};

/** What is left: nothing was dropped here, so it got lost beyond. */
export const pathLoss: RetransRule = {
  id: "retrans-path-loss",
  examine({ facts }, open) {
    const flows = open.filter((flow) => flow.segments > 0);
    if (flows.length === 0) return NOTHING;
    // A far end on this machine is no path: what is true of one says nothing about the other.
    const isHere = (flow: RetransFlow) => findFarEnd(facts, flow) !== null;
    const findings = [...Map.groupBy(flows, (flow) => flow.netns)].flatMap(([netns, all]) =>
      [all.filter((flow) => !isHere(flow)), all.filter(isHere)]
        .filter((some) => some.length > 0)
        .flatMap(splitByWorst)
        .map((group) => tellPath(facts, netns, group)),
    );
    return { findings, flows };
  },
};

/** A host that has this much of all segments is a story of its own. */
const OUTSTANDING = 0.8;

/** One destination that stands out apart from the rest, else all together. */
function splitByWorst(flows: readonly RetransFlow[]): (readonly RetransFlow[])[] {
  const byHost = [...Map.groupBy(flows, (flow) => flow.destination).values()];
  const worst = byHost.find((group) => countSegments(group) >= OUTSTANDING * countSegments(flows));
  if (worst === undefined || worst.length === flows.length) return [flows];
  return [worst, flows.filter((flow) => !worst.includes(flow))];
}

function tellPath(facts: Facts, netns: number | null, flows: readonly RetransFlow[]): Finding {
  const segments = countSegments(flows);
  const share = shareOf(facts, netns, segments);
  const place = findPlace(facts, netns);
  const locals = flows.filter((flow) => findFarEnd(facts, flow) !== null);
  const isLocal = locals.length === flows.length;
  const top = [...flows].sort((a, b) => b.segments - a.segments)[0];
  const to = quoteShell(top?.destination ?? "");
  const rate = share === null ? "" : `, ${formatShare(share)} of all that was sent there`;
  return {
    id: "retrans-path-loss",
    severity: judge(segments, share),
    summary: isLocal
      ? `${tellNetns(facts, netns)} sends again to ${tellTargets(flows)}, which is on this machine, and nothing was seen to be dropped`
      : `Segments from ${tellNetns(facts, netns)} to ${tellTargets(flows)} get lost beyond this host`,
    count: segments,
    netns: nameNetns(facts, netns),
    evidence: [
      `${tellSentAgain(flows)}${rate}: ${tellKinds(flows)}`,
      isLocal
        ? "neither end dropped a packet of them with a record: a device between them may drop without one (XDP, a driver), or the answers are only slow"
        : "this host dropped nothing of these connections in any of its namespaces: the path or the peer does",
      ...tellPattern(flows),
      listFlows(flows),
    ],
    check: [
      inNetns(place, `ss -ti dst ${to}`),
      ...(isLocal ? [] : [inNetns(place, `mtr -rwzc 50 ${to}`)]),
      inNetns(place, "ip -s -s link"),
    ],
    fix: [
      isLocal
        ? "# both ends are here: see whether the receiver is starved or stopped (top, ss -ti), and what XDP or the drivers between drop"
        : "# not here: show the path (mtr) to whoever runs the network",
    ],
  };
}

function judge(segments: number, share: number | null): Severity {
  if (segments < ENOUGH) return "info";
  if (share === null) return "suspicious";
  return share >= NOTICEABLE ? "problem" : share < USUAL ? "info" : "suspicious";
}
