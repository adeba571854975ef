import { plural } from "../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import type { Rule } from "../../rule.ts";
import { selectDrops } from "../../select.ts";
import { findPlace, nameNetns } from "../../where.ts";
import { isCapture } from "./raw-buffer.ts";

/** A capture that lost this many shows an untrue picture to whoever looks at it. */
const MANY = 100;

/** Packet sockets (tcpdump, agents, DHCP clients) that could not take their copy. The packet itself went on its way. */
export const captureBuffer: Rule = {
  id: "capture-buffer",
  examine: (facts, ledger) =>
    selectDrops(facts, ledger, { reasons: ["PACKET_SOCK_ERROR", "SOCKET_RCVBUFF"] }).flatMap(
      ({ netns, drops }) => {
        const copies = drops.filter((drop) => drop.reason === "PACKET_SOCK_ERROR" || isCapture(drop));
        if (copies.length === 0) return [];
        ledger.claim(copies);
        const count = countDrops(copies);
        return [
          {
            id: "capture-buffer",
            severity: isMany(count, facts.seconds, MANY) ? ("suspicious" as const) : ("info" as const),
            summary: `A capture (tcpdump, an agent, a DHCP client) could not take ${plural(count, "packet")}: what it shows has gaps, the traffic itself is not hurt`,
            count,
            netns: nameNetns(facts, netns),
            evidence: [
              `the copy for a packet socket was dropped on ${tellShares(rankDrops(copies, ({ dev }) => dev)) ?? "an unknown device"}: its buffer was full`,
            ],
            check: [inNetns(findPlace(facts, netns), "ss -0anmp")],
            fix: [
              "# capture with a larger buffer (tcpdump -B 65536), a shorter snap length (-s 128) or a narrower filter",
            ],
          },
        ];
      },
    ),
};
