import { quoteShell } from "../../../../text/escape.ts";
import { plural } from "../../../../text/format.ts";
import { countDrops, severityOf } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork } from "../../../facts.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findLink } from "../support/devices.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** A few frames to everybody come from any host; more are a connection that does not come about. */
const MANY = 3;

/** Where a bridge gives up a frame that no port may have (net/bridge/br_input.c, br_forward.c), without a reason. */
const SITES = /^(?:br_handle_frame_finish|br_forward|br_flood|maybe_deliver|deliver_clone)$/;

/**
 * Ports that may not talk to each other (`isolated`: should_deliver in net/bridge/br_forward.c), or that take frames of known senders
 * only (`locked`: br_handle_frame_finish). Meant so as a rule: on the ports of a container network or a hotel's Wi-Fi.
 */
export const bridgeIsolated: Rule = {
  id: "bridge-isolated",
  examine(facts, ledger) {
    const drops = openDrops(facts, ledger).filter((drop) => isVague(drop) && isFreedAt(drop, SITES));
    return groupByDevice(drops).flatMap((group) => {
      const network = findNetwork(facts, group.netns);
      const port = findLink(network, group.dev);
      if (port === null || port.master === null) return [];
      const setting = ["isolated", "locked"].find((name) => port.info[`port.${name}`] === "true");
      if (setting === undefined) return [];
      ledger.claim(group.drops);
      const place = findPlace(facts, group.netns);
      const count = countDrops(group.drops);
      const others = (network?.state.configuration?.links ?? []).filter(
        ({ master, name, info }) =>
          master === port.master && name !== port.name && info["port.isolated"] === "true",
      );
      return [
        makeFinding(facts, {
          id: `bridge-port-${setting}`,
          severity: severityOf(count, facts.seconds, MANY),
          summary:
            setting === "isolated"
              ? `Port ${port.name} of bridge ${port.master} is isolated: ${plural(count, "frame")} for other isolated ports dropped`
              : `Port ${port.name} of bridge ${port.master} is locked: ${plural(count, "frame")} of senders that it does not know dropped`,
          count,
          netns: group.netns,
          evidence: [
            `in ${tellNetns(facts, group.netns)}`,
            setting === "isolated" && others.length > 0
              ? `isolated as well: ${others
                  .slice(0, 4)
                  .map(({ name }) => name)
                  .join(
                    ", ",
                  )}${others.length > 4 ? " and more" : ""}; isolated ports only talk to those that are not`
              : null,
            tellFlows(group.drops),
          ],
          check: [inNetns(place, `bridge -d link show dev ${quoteShell(port.name)}`)],
          fix: [inNetns(place, `bridge link set dev ${quoteShell(port.name)} ${setting} off`)],
        }),
      ];
    });
  },
};
