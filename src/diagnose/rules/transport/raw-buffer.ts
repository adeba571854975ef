import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, isMany, rankDrops, severityOf, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import type { Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Rule } from "../../rule.ts";
import { selectDrops, type DropGroup } from "../../select.ts";
import { findPlace, nameNetns } from "../../where.ts";
import { tellOwner } from "./endpoints.ts";

/** As for UDP: a burst costs a few, more means that the reader does not keep up. */
const MANY = 10;
/** A capture that lost this many shows an untrue picture to whoever looks at it. */
const MANY_CAPTURED = 100;

/** Receive buffers of sockets that are not UDP: raw sockets (ping, routing daemons) and packet sockets (captures, DHCP). */
export const rawBuffer: Rule = {
  id: "raw-receive-buffer",
  examine(facts, ledger) {
    const full = selectDrops(facts, ledger, { reasons: ["SOCKET_RCVBUFF"] });
    for (const { drops } of full) ledger.claim(drops);
    const captures = selectDrops(facts, ledger, { reasons: ["PACKET_SOCK_ERROR"] });
    for (const { drops } of captures) ledger.claim(drops);
    return [
      ...full.flatMap((group) => (isCapture(group) ? [tellCapture(facts, group)] : [tellRaw(facts, group)])),
      ...captures.map((group) => tellCapture(facts, group)),
    ];
  },
};

/** Before Linux 6.10 packet sockets say SOCKET_RCVBUFF too (net/packet/af_packet.c). */
function isCapture({ drops }: DropGroup): boolean {
  return drops.every(({ location, functions }) =>
    [location ?? "", ...functions].some((name) => /^(?:t?packet_rcv)/.test(name)),
  );
}

function tellRaw(facts: Facts, { netns, network, drops }: DropGroup): Finding {
  const count = countDrops(drops);
  const sockets = (network?.datagramSockets ?? []).filter(({ protocol }) => protocol === "raw");
  const protocols = tellShares(rankDrops(drops, ({ proto }) => proto)) ?? "unknown protocol";
  return {
    id: "raw-receive-buffer",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `${plural(count, "packet")} (${protocols}) lost because the receive buffer of a socket was full: its program reads too slowly`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      `SOCKET_RCVBUFF at ${tellShares(rankDrops(drops, ({ location }) => location)) ?? "an unknown place"}`,
      ...sockets.map(
        (socket) =>
          `raw socket (IP protocol ${socket.localPort}) of ${tellOwner(facts, socket.inode)}: drops +${formatCount(socket.drops.delta ?? 0)}, ${formatCount(socket.receiveQueue)} bytes waiting at the end`,
      ),
    ],
    check: [inNetns(findPlace(facts, netns), "ss -wanmp"), inNetns(findPlace(facts, netns), "ss -0anmp")],
    fix: ["# let the program read faster, or ask for a larger SO_RCVBUF (up to net.core.rmem_max)"],
  };
}

function tellCapture(facts: Facts, { netns, drops }: DropGroup): Finding {
  const count = countDrops(drops);
  return {
    id: "capture-buffer",
    severity: isMany(count, facts.seconds, MANY_CAPTURED) ? "suspicious" : "info",
    summary: `A capture (tcpdump, an agent, a DHCP client) could not take ${plural(count, "packet")}: what it shows has gaps, the traffic itself is not hurt`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      `a copy for a packet socket was dropped on ${tellShares(rankDrops(drops, ({ dev }) => dev)) ?? "an unknown device"}: its buffer was full`,
    ],
    check: [inNetns(findPlace(facts, netns), "ss -0anmp")],
    fix: [
      "# capture with a larger buffer (tcpdump -B 65536), a shorter snap length (-s 128) or a narrower filter",
    ],
  };
}
