import { formatCount } from "../../../../text/format.ts";
import { countDrops } from "../../../amounts.ts";
import { tellLog } from "../../../kernel-log.ts";
import type { Rule } from "../../../rule.ts";
import { readSysctl } from "../../../where.ts";
import { familyOf } from "../support/addresses.ts";
import { openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { accountSender } from "../support/sender.ts";

const OVERFLOW = /neighbou?r table overflow/i;

/** NEIGH_CREATEFAIL, `table_fulls`: no room for one more neighbour. The table and its limit are the whole host's. */
export const neighbourTable: Rule = {
  id: "neighbour-table-full",
  examine(facts, ledger) {
    const drops = openDrops(facts, ledger).filter(({ reason }) => reason === "NEIGH_CREATEFAIL");
    const host = facts.networks.find((network) => network.arp !== null || network.ndisc !== null) ?? null;
    const isIpv6 =
      drops.length > 0 && drops.every(({ destination }) => familyOf(destination ?? "") === "ipv6");
    const table =
      isIpv6 || (host?.ndisc?.["table_fulls"]?.delta ?? 0) > (host?.arp?.["table_fulls"]?.delta ?? 0)
        ? "ndisc"
        : "arp";
    const fulls = host?.[table]?.["table_fulls"]?.delta ?? 0;
    const isLogged = facts.kernelLog.some((line) => OVERFLOW.test(line));
    if (drops.length === 0 && (fulls === 0 || facts.isFiltered)) return [];
    ledger.claim(drops);
    if (host !== null) ledger.account(host.netns.inode, `${table}.table_fulls`);
    for (const netns of new Set(drops.map((drop) => drop.netns)))
      if (netns !== null) accountSender(ledger, netns);
    const family = table === "arp" ? "ipv4" : "ipv6";
    const limit = Number(readSysctl(facts, host, `net.${family}.neigh.default.gc_thresh3`) ?? Number.NaN);
    const entries = host?.state.counters.host?.[table]?.["entries"] ?? null;
    const count = countDrops(drops);
    const [first] = drops;
    const settings = (value: string) => `net.${family}.neigh.default.gc_thresh${value}`;
    return [
      makeFinding(facts, {
        id: "neighbour-table-full",
        severity: fulls > 0 || isLogged ? "problem" : "suspicious",
        summary: `The table of neighbours (${table === "arp" ? "ARP" : "IPv6"}) is full: new addresses on the local networks cannot be reached`,
        count,
        netns: first?.netns ?? host?.netns.inode ?? null,
        evidence: [
          fulls > 0 ? `table_fulls +${formatCount(fulls)} (whole host)` : null,
          Number.isFinite(limit)
            ? `at most ${formatCount(limit)} entries (gc_thresh3)${entries === null ? "" : `, ${formatCount(entries)} at the end`}`
            : null,
          tellLog(facts, OVERFLOW),
          tellFlows(drops),
        ],
        check: [
          `cat /proc/net/stat/${table}_cache`,
          `sysctl ${settings("1")} ${settings("2")} ${settings("3")}`,
        ],
        fix: Number.isFinite(limit)
          ? [
              `sysctl -w ${settings("3")}=${limit * 4} ${settings("2")}=${limit * 2} ${settings("1")}=${limit}`,
            ]
          : [],
      }),
    ];
  },
};
