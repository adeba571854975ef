import type { Link } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { plural } from "../../../../text/format.ts";
import { countDrops } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork } from "../../../facts.ts";
import type { Severity } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findLink, isUp, setLink } from "../support/devices.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** A port that comes up meets the greetings of its neighbours first. */
const MANY = 3;
const VLAN_SITES = /^(?:__allowed_ingress|br_allowed_ingress|br_handle_vlan)$/;

/** A bridge's port that does not forward (spanning tree), or does not take the frame's VLAN. */
export const bridgePort: Rule = {
  id: "bridge-port",
  examine(facts, ledger) {
    const open = openDrops(facts, ledger);
    const blocked = open.filter(({ reason }) => reason === "BRIDGE_INGRESS_STP_STATE");
    const untagged = open.filter((drop) => isVague(drop) && isFreedAt(drop, VLAN_SITES));
    ledger.claim([...blocked, ...untagged]);
    const stp = groupByDevice(blocked).map(({ netns, dev, drops }) => {
      const network = findNetwork(facts, netns);
      const place = findPlace(facts, netns);
      const port = findLink(network, dev);
      const bridge = findLink(network, port?.master ?? null);
      const state = port?.info["port.state"] ?? null;
      const count = countDrops(drops);
      const isOff = bridge !== null && !isUp(bridge);
      const many = count < MANY ? ("info" as const) : ("problem" as const);
      return makeFinding(facts, {
        id: isOff ? "bridge-down" : "bridge-port-blocked",
        severity: isOff ? many : severityOfState(state, count),
        summary: isOff
          ? `Bridge ${bridge.name} is down, so its port ${dev ?? "?"} takes nothing: ${plural(count, "frame")} dropped`
          : `Port ${dev ?? "?"} of bridge ${bridge?.name ?? "?"} does not forward${state === null ? "" : ` (spanning tree: ${state})`}: ${plural(count, "frame")} dropped`,
        count,
        netns,
        evidence: [
          `in ${tellNetns(facts, netns)}`,
          state === "blocking"
            ? "spanning tree keeps it closed so that frames do not go in circles: another way leads there"
            : null,
          state === "listening" || state === "learning" ? tellDelay(bridge) : null,
          state === "forwarding" ? "by now it forwards" : null,
          tellFlows(drops),
        ],
        check: [
          dev === null ? null : inNetns(place, `bridge -d link show dev ${quoteShell(dev)}`),
          bridge === null ? null : inNetns(place, `ip -d link show dev ${quoteShell(bridge.name)}`),
        ],
        fix: isOff
          ? [setLink(facts, netns, bridge.name, "up")]
          : bridge === null || state === "blocking" || state === "forwarding"
            ? []
            : [
                inNetns(place, `ip link set dev ${quoteShell(bridge.name)} type bridge stp_state 0`),
                // A port that waits goes on waiting; 3 is forwarding.
                dev === null ? null : inNetns(place, `bridge link set dev ${quoteShell(dev)} state 3`),
              ],
      });
    });
    const vlan = groupByDevice(untagged).map(({ netns, dev, drops }) => {
      const place = findPlace(facts, netns);
      const port = findLink(findNetwork(facts, netns), dev);
      const count = countDrops(drops);
      return makeFinding(facts, {
        id: "bridge-vlan",
        severity: count >= MANY ? "problem" : "suspicious",
        summary: `Port ${dev ?? "?"} of bridge ${port?.master ?? "?"} does not take the VLAN of ${plural(count, "frame")}`,
        count,
        netns,
        evidence: [
          `in ${tellNetns(facts, netns)}; the bridge filters VLANs, and the frames' one is not allowed on this port`,
          tellFlows(drops),
        ],
        check: [inNetns(place, `bridge vlan show${dev === null ? "" : ` dev ${quoteShell(dev)}`}`)],
        fix:
          dev === null
            ? []
            : [`# allow it: ${inNetns(place, `bridge vlan add dev ${quoteShell(dev)} vid VLAN`)}`],
      });
    });
    return [...stp, ...vlan];
  },
};

function severityOfState(state: string | null, count: number): Severity {
  // Closing a circle is what spanning tree is for; a port that just came up waits its time.
  if (state === "blocking" || state === "forwarding" || count < MANY) return "info";
  return state === "disabled" ? "problem" : "suspicious";
}

/** A port listens and learns for `forward_delay` each (hundredths of a second) before it forwards. */
function tellDelay(bridge: Link | null): string {
  const delay = Number(bridge?.info["forward_delay"] ?? Number.NaN) / 100;
  return Number.isFinite(delay)
    ? `after it comes up a port waits twice the forward delay (2 × ${delay} s) before it forwards; without other bridges spanning tree is not needed`
    : "after it comes up a port waits twice the forward delay before it forwards";
}
