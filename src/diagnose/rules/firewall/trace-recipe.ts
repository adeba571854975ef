import type { FirewallFamily, Hook } from "../../../evidence/net/types.ts";
import { quoteShell } from "../../../text/escape.ts";
import { inNetns } from "../../commands.ts";
import type { DropFact, Place } from "../../facts.ts";
import { same } from "./words.ts";

/** Before raw (-300) and connection tracking's defragmentation (-400). */
const PRIORITY = -500;
const SECONDS = 10;
const TABLE = "trace_tmp";

/**
 * A command that shows which nftables rule decides on such packets: marks a few of them in a table of its own, watches
 * `nft monitor trace` for a while and takes the table away again. It changes the rules while it runs: only ever printed.
 * Null where it would need a device that is not known.
 */
export function traceRecipe(
  netns: Place | null,
  where: { readonly family: FirewallFamily; readonly hook: Hook | null; readonly devices: readonly string[] },
  drops: readonly DropFact[],
): string | null {
  const { hook } = where;
  const family = where.family === "ip" || where.family === "ip6" ? "inet" : where.family;
  const device = where.devices[0] ?? same(drops, (drop) => drop.dev);
  const isDevice = hook === "INGRESS" || hook === "EGRESS";
  // A name that a shell or nft would take for more than a name.
  if (isDevice && (device === null || !/^[\w.-]+$/.test(device))) return null;
  const table = isDevice ? "netdev" : family;
  const hooks = isDevice ? [`${hook.toLowerCase()} device ${device}`] : entriesOf(family, hook);
  const steps = [
    `add table ${table} ${TABLE}`,
    ...hooks.flatMap((entry, index) => [
      `add chain ${table} ${TABLE} c${index} { type filter hook ${entry} priority ${PRIORITY}; }`,
      `add rule ${table} ${TABLE} c${index} ${selector(drops)}limit rate 10/second meta nftrace set 1`,
    ]),
  ];
  const script = `nft "${steps.join("; ")}" && timeout ${SECONDS} nft monitor trace; nft delete table ${table} ${TABLE}`;
  return inNetns(netns, `sh -c ${quoteShell(script)}`);
}

/** Where such packets come in first. */
function entriesOf(family: FirewallFamily, hook: Hook | null): string[] {
  if (family === "arp") return [hook === "OUTPUT" ? "output" : "input"];
  if (hook === "OUTPUT") return ["output"];
  return hook === "POSTROUTING" ? ["prerouting", "output"] : ["prerouting"];
}

/** What all of them have in common, in nft's words. */
function selector(drops: readonly DropFact[]): string {
  const proto = same(drops, (drop) => drop.proto);
  const port = same(drops, (drop) => drop.destinationPort);
  if (proto === "tcp" || proto === "udp")
    return port === null ? `meta l4proto ${proto} ` : `${proto} dport ${port} `;
  if (proto === "icmp" || proto === "icmpv6")
    return `meta l4proto ${proto === "icmp" ? "icmp" : "ipv6-icmp"} `;
  return "";
}
