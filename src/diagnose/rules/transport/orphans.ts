import type { NetDelta } from "../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../text/format.ts";
import { roundUp, severityOf } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { tellLog } from "../../kernel-log.ts";
import type { Rule } from "../../rule.ts";
import { findHost, findPlace, nameNetns, readNumbers, tellNetns } from "../../where.ts";

/** The limit is meant to be far above any load: a handful is the start of more. */
const MANY = 5;
/** tcp_check_oom (net/ipv4/tcp.c) logs which of the two limits it was; both count as TCPAbortOnMemory. */
const ORPHANS = /too many orphaned sockets/;
const MEMORY = /TCP: out of memory/;
const COUNTER = "TcpExtTCPAbortOnMemory";

/**
 * Connections that their program has closed and that still have something to send are orphans; above `tcp_max_orphans` (of the whole host)
 * they are reset, and what they had to send is lost. No packet is dropped for it.
 */
export const orphans: Rule = {
  id: "tcp-orphans",
  examine(facts, ledger) {
    const isLogged = (pattern: RegExp) => facts.kernelLog.some((line) => pattern.test(line));
    if (!isLogged(ORPHANS) || isLogged(MEMORY)) return [];
    return facts.networks.flatMap((network) => {
      const count = counterDelta(network, COUNTER);
      if (count === 0) return [];
      ledger.account(network.netns.inode, COUNTER);
      return [tell(facts, network, count)];
    });
  },
};

function tell(facts: Facts, network: NetDelta, count: number): Finding {
  const netns = network.netns.inode;
  const host = findHost(facts);
  const [limit] = readNumbers(facts, host, "net.ipv4.tcp_max_orphans");
  const now = host?.state.counters.sockstat?.["TCP.orphan"] ?? null;
  const log = tellLog(facts, ORPHANS);
  return {
    id: "tcp-orphans",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `${plural(count, "connection")} that no program holds any more ${count === 1 ? "was" : "were"} reset before all was sent: there are more such orphans than net.ipv4.tcp_max_orphans allows`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      `${COUNTER} +${formatCount(count)} in ${tellNetns(facts, netns)}; no packet was dropped for it`,
      ...(limit === undefined
        ? []
        : [
            `net.ipv4.tcp_max_orphans = ${formatCount(limit)} at the end, for the whole host${now === null ? "" : `; ${formatCount(now)} orphans then`}`,
          ]),
      ...(log === null ? [] : [log]),
    ],
    check: [
      "cat /proc/net/sockstat",
      inNetns(findPlace(facts, netns), "ss -tanop state fin-wait-1 state last-ack state closing"),
    ],
    fix: [
      ...(limit === undefined
        ? []
        : [`sysctl -w net.ipv4.tcp_max_orphans=${roundUp(Math.max(2 * limit, 4096))}`]),
      "# better: see why the peers do not take what is sent (ss above: Send-Q); net.ipv4.tcp_orphan_retries gives up on them sooner",
    ],
  };
}
