import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, rankDrops, severityOf } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { counterDelta, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import { tellLog } from "../../../kernel-log.ts";
import type { Rule } from "../../../rule.ts";
import { selectDrops } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { deviceKey, readDeviceSetting } from "../support/devices.ts";
import { groupByDevice, tellFlows, type DeviceGroup } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { createRouter, hopsOf, tellRoute, type RouteAnswer } from "../support/routing.ts";

/** A host at the edge of the internet sees a forged source now and then; this many are a way that does not work. */
const MANY = 3;
const COUNTER = "TcpExtIPReversePathFilter";

/**
 * IP_RPFILTER (IPv4 only): the way back to the source does not leave through the device the packet came in on. The effective
 * setting is the larger of the two (IN_DEV_RPFILTER in include/linux/inetdevice.h): 1 strict, 2 any way back will do.
 */
export const reversePath: Rule = {
  id: "rp-filter",
  examine(facts, ledger) {
    const groups = selectDrops(facts, ledger, { reasons: ["IP_RPFILTER"], counters: [COUNTER] });
    return groups.flatMap(({ netns, network, drops }) => {
      ledger.claim(drops);
      if (netns !== null) ledger.account(netns, COUNTER);
      return groupByDevice(drops).map((group) => tell(facts, network, group));
    });
  },
};

function tell(facts: Facts, network: NetDelta | null, { netns, dev, drops }: DeviceGroup): Finding {
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const sources = rankDrops(drops, ({ source }) => source);
  const source = sources[0]?.name ?? null;
  const answer = source === null ? null : createRouter(network)({ to: source });
  const all = readDeviceSetting(network, "ipv4", "all", "rp_filter");
  const own = dev === null ? null : readDeviceSetting(network, "ipv4", dev, "rp_filter");
  const mode = all === null || own === null ? null : Math.max(all, own);
  const from =
    source === null
      ? ""
      : ` from ${source}${sources.length > 1 ? ` and ${formatCount(sources.length - 1)} more` : ""}`;
  const moved = counterDelta(network, COUNTER);
  const key = dev === null ? null : deviceKey(dev);
  const settings = ["all", ...(key === null ? [] : [key])].map((name) =>
    quoteShell(`net.ipv4.conf.${name}.rp_filter`),
  );
  return makeFinding(facts, {
    id: "rp-filter",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `The reverse path filter${dev === null ? "" : ` on ${dev}`} ${mode === 0 ? "dropped" : "drops"} packets${from}: ${tellWay(answer, source)}`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      mode === null
        ? null
        : `rp_filter on ${dev} is ${mode} (${nameMode(mode)}): the larger of all=${all} and ${dev}=${own}`,
      moved > 0 ? `${COUNTER} +${formatCount(moved)}; ${plural(count, "drop")} seen` : null,
      // Only where log_martians is on.
      source === null
        ? null
        : tellLog(facts, new RegExp(`martian source .* from ${source.replaceAll(".", "\\.")},`)),
      tellFlows(drops),
    ],
    check: [
      source === null ? null : inNetns(place, `ip route get ${quoteShell(source)}`),
      inNetns(place, `sysctl ${settings.join(" ")}`),
    ],
    fix:
      mode === 0
        ? ["# nothing to do: the filter is off by now"]
        : fixes(answer, source, dev).map((command) => inNetns(place, command)),
  });
}

function nameMode(mode: number): string {
  if (mode === 1) return "strict";
  return mode === 2 ? "loose" : "off by now";
}

function tellWay(answer: RouteAnswer | null, source: string | null): string {
  if (answer === null || source === null)
    return "the way back to the sender leaves through another device, or there is none";
  const { route } = answer;
  if (route === null) return `there is no route back to ${source}`;
  const devices = [...new Set(hopsOf(route).flatMap(({ dev }) => dev ?? []))].join(", ");
  if (route.type !== "unicast") return `the way back is refused by the route ${tellRoute(route)}`;
  return `the way back to ${source} leaves through ${devices} (route ${tellRoute(route)})`;
}

/** Loose mode where there is another way back; else only a route helps, since the loose mode wants one too. */
function fixes(answer: RouteAnswer | null, source: string | null, dev: string | null): string[] {
  if (dev === null) return [];
  if (answer !== null && source !== null && answer.route === null) {
    return [`ip route add ${quoteShell(source)} dev ${quoteShell(dev)}`];
  }
  return [`sysctl -w ${quoteShell(`net.ipv4.conf.${deviceKey(dev)}.rp_filter=2`)}`];
}
