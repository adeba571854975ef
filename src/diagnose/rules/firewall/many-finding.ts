import { formatCount } from "../../../text/format.ts";
import { inNetns } from "../../commands.ts";
import type { Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { findPlace, nameNetns } from "../../where.ts";
import type { Explained } from "./attribute.ts";

/** Causes of one namespace that get a finding of their own: a ruleset with hundreds of drops is not read one by one. */
export const MAX_CAUSES = 20;

const MAX_LISTED = 5;

/** What is left of the causes in one namespace when the largest have been told. */
export function manyFinding(facts: Facts, rest: readonly Explained[]): Finding {
  const inode = rest[0]?.suspect.network.netns.inode ?? null;
  const place = findPlace(facts, inode);
  const count = rest.reduce((sum, own) => sum + own.count, 0);
  const listed = rest.slice(0, MAX_LISTED).map(({ suspect, count: packets }) => {
    const name =
      suspect.kind === "rule"
        ? suspect.rule.text
        : suspect.kind === "policy"
          ? suspect.chain.chain
          : suspect.kind;
    return `+${formatCount(packets)}  ${name}`;
  });
  return {
    id: "netfilter-rule",
    severity: "problem",
    summary: `${formatCount(rest.length)} more firewall rules and policies drop a few packets each`,
    count,
    netns: nameNetns(facts, inode),
    evidence: [
      `their counters moved by ${formatCount(count)} together, as many NETFILTER_DROP as are left`,
      ...listed,
      ...(rest.length > MAX_LISTED ? ["…"] : []),
    ],
    check: ["nft -a list ruleset", "iptables-save -c", "ip6tables-save -c"].map((command) =>
      inNetns(place, command),
    ),
    fix: [],
  };
}
