import { quoteShell } from "../../../../text/escape.ts";
import { plural } from "../../../../text/format.ts";
import { countDrops, severityOf, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork } from "../../../facts.ts";
import type { Rule } from "../../../rule.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { isMulticast } from "../support/addresses.ts";
import { deviceKey, readDeviceSetting } from "../support/devices.ts";
import { groupByDevice, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** Neighbours greet with multicast; a host that counts on IPv6 here sends to this host itself. */
const MANY = 3;

/** IPV6DISABLED: IPv6 is switched off on the device (`disable_ipv6`) or in the namespace. */
export const ipv6Disabled: Rule = {
  id: "ipv6-disabled",
  examine(facts, ledger) {
    const drops = openDrops(facts, ledger).filter(({ reason }) => reason === "IPV6DISABLED");
    ledger.claim(drops);
    return groupByDevice(drops).map(({ netns, dev, drops: group }) => {
      const network = findNetwork(facts, netns);
      const place = findPlace(facts, netns);
      if (netns !== null) ledger.account(netns, "Ip6InDiscards");
      const count = countDrops(group);
      const own = dev === null ? null : readDeviceSetting(network, "ipv6", dev, "disable_ipv6");
      const name = `net.ipv6.conf.${dev === null ? "all" : deviceKey(dev)}.disable_ipv6`;
      const isForAll = group.every(({ destination }) => isMulticast(destination));
      return makeFinding(facts, {
        id: "ipv6-disabled",
        severity: isForAll ? "info" : severityOf(count, facts.seconds, MANY),
        summary: `IPv6 is switched off on ${dev ?? "a device"}: ${plural(count, "IPv6 packet")} ${count === 1 ? "was" : "were"} thrown away`,
        count,
        netns,
        evidence: [
          `in ${tellNetns(facts, netns)}`,
          own === null ? null : `${name} is ${own}`,
          isForAll
            ? "all of them are greetings to everybody (multicast): harmless where IPv6 is off on purpose"
            : null,
          tellCounters(network, ["Ip6InDiscards", "Ip6OutDiscards"]),
          tellFlows(group),
        ],
        check: [inNetns(place, `sysctl ${quoteShell(name)}`)],
        fix: [inNetns(place, `sysctl -w ${quoteShell(`${name}=0`)}`)],
      });
    });
  },
};
