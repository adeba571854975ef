import { expect, test } from "vitest";
import { readCounter, untilCounter } from "./support/counters.ts";
import {
  addFarHost,
  evidenceOf,
  findingsAt,
  forward,
  sendTo,
  traceDrops,
  type Far,
} from "./support/network.ts";
import { sh } from "./support/shell.ts";
import type { TraceRecord, TraceResult } from "./support/trace.ts";
import { createWorld, type Host, type World } from "./support/world.ts";

interface Place extends World {
  readonly far: Far;
}

/** A fault, the datagrams that run into it (to a port of their own), and what is printed about it. */
interface Fault {
  readonly name: string;
  readonly id: string;
  readonly port: number;
  /** Where it is. */
  readonly at: (place: Place) => Host;
  /** Shell commands. */
  readonly make: (place: Place) => string;
  readonly send: (place: Place, port: number) => Promise<unknown>;
  /** Where the datagrams arrive when it is gone: nobody listens there, which the kernel tells. */
  readonly to: (place: Place) => Host;
}

const COUNT = 20;
const atServer = ({ server }: Place): Host => server;
const atClient = ({ client }: Place): Host => client;
const atFar = ({ far }: Place): Host => far.host;
const toServer = ({ client, server }: Place, port: number) =>
  sendTo(client, server.address, { port, count: COUNT });

const FAULTS: readonly Fault[] = [
  {
    name: "an iptables rule of INPUT",
    id: "netfilter-rule",
    port: 2001,
    at: atServer,
    make: () => "iptables -A INPUT -p udp --dport 2001 -j DROP",
    send: toServer,
    to: atServer,
  },
  {
    name: "an nft rule in a chain that is jumped to",
    id: "netfilter-rule",
    port: 2002,
    at: atServer,
    make: () =>
      `nft 'add table inet x; add chain inet x sub; add rule inet x sub udp dport 2002 counter drop;
        add chain inet x in { type filter hook input priority 0; }; add rule inet x in jump sub'`,
    send: toServer,
    to: atServer,
  },
  {
    name: "an element of an nft map",
    id: "netfilter-rule",
    port: 2003,
    at: atServer,
    make: () =>
      `nft 'add table ip y; add map ip y m { type inet_service : verdict; counter; }; add element ip y m { 2003 : drop };
        add chain ip y in { type filter hook input priority 0; }; add rule ip y in udp dport vmap @m'`,
    send: toServer,
    to: atServer,
  },
  {
    name: "a chain's policy",
    id: "netfilter-policy",
    port: 2004,
    at: atClient,
    make: () => "iptables -P INPUT DROP",
    send: ({ client, server }, port) => sendTo(server, client.address, { port, count: COUNT }),
    to: atClient,
  },
  {
    name: "an ip6tables rule of OUTPUT that rejects",
    id: "netfilter-rule",
    port: 2005,
    at: atClient,
    make: () => "ip6tables -A OUTPUT -p udp --dport 2005 -j REJECT",
    send: ({ client, server }, port) => sendTo(client, server.address6, { port, count: COUNT }),
    to: atServer,
  },
  {
    name: "a blackhole route",
    id: "route-blackhole",
    port: 2006,
    at: atServer,
    make: () => "ip route add blackhole 10.84.9.0/25",
    send: ({ client }, port) => sendTo(client, "10.84.9.1", { port, count: COUNT }),
    to: atFar,
  },
  {
    name: "a policy rule of routing that refuses",
    id: "route-prohibit",
    port: 2007,
    at: atServer,
    make: ({ client }) => `ip rule add from ${client.address} to 10.84.8.0/24 prohibit`,
    send: ({ client }, port) => sendTo(client, "10.84.8.1", { port, count: COUNT }),
    to: atFar,
  },
  {
    name: "a shaper",
    id: "qdisc-shaper",
    port: 2008,
    at: atServer,
    make: ({ far }) => `tc qdisc add dev ${far.routerDev} root tbf rate 64kbit burst 2kb limit 3kb`,
    send: ({ server, far }, port) => sendTo(server, far.host.address, { port, size: 600, count: COUNT }),
    to: atFar,
  },
  {
    name: "a strict rp_filter",
    id: "rp-filter",
    port: 2009,
    at: atServer,
    make: ({ server, far }) =>
      `sysctl -qw net.ipv4.conf.${server.dev}.rp_filter=1; ip route add 10.85.0.0/24 dev ${far.routerDev}`,
    send: ({ client, server }, port) =>
      sendTo(client, server.address, { port, source: "10.85.0.1", count: COUNT }),
    to: atServer,
  },
  {
    name: "an MTU that is smaller at the other end",
    id: "mtu-peer",
    port: 2010,
    at: atFar,
    make: ({ server, far }) => `ip -n ${server.netns} link set ${far.routerDev} mtu 1300`,
    send: ({ far }, port) => sendTo(far.host, "10.84.0.1", { port, size: 1400, count: COUNT }),
    to: atServer,
  },
];

/** Datagrams to that port: those that arrived (NO_SOCKET), and those that were dropped on the way. */
async function countTo(host: Host, { summary }: TraceResult, port: number) {
  const inode = await host.inode();
  const rows = (summary["flows"] as TraceRecord[]).filter((row) => row["destinationPort"] === port);
  const sum = (list: readonly TraceRecord[]) => list.reduce((total, row) => total + row["count"], 0);
  const arrived = rows.filter((row) => row["reason"] === "NO_SOCKET" && row["netns"]?.inode === inode);
  return { arrived: sum(arrived), lost: sum(rows) - sum(arrived) };
}

test("the fixes that are printed for ten faults, pasted as they are, end them", async () => {
  await using world = await createWorld();
  await using far = await addFarHost(world);
  const place: Place = {
    client: world.client,
    server: world.server,
    far,
    [Symbol.asyncDispose]: async () => {},
  };
  await forward(world.server);
  await far.host.run("sh", "-c", "ip addr add 10.84.9.1/32 dev lo; ip addr add 10.84.8.1/32 dev lo");
  await world.server.run("sh", "-c", "for n in 8 9; do ip route add 10.84.$n.0/24 via 10.84.0.2; done");
  await world.client.run("ip", "addr", "add", "10.85.0.1/32", "dev", "lo");
  // In this order: a rule of routing for the client's packets is no obstacle for those that are made later.
  for (const fault of FAULTS) await fault.at(place).run("sh", "-c", fault.make(place));
  const sendAll = async () => {
    for (const fault of FAULTS) await fault.send(place, fault.port);
  };

  const before = await traceDrops(sendAll);
  const fixes: string[] = [];
  const told: Record<string, unknown> = {};
  for (const { name, id, port, at, to } of FAULTS) {
    const findings = (await findingsAt(at(place), before)).filter(
      (finding) => finding["id"] === id && evidenceOf(finding).includes(`:${port}`),
    );
    const { arrived, lost } = await countTo(to(place), before, port);
    // A policy drops the kernel's own messages, too; a shaper lets some through and holds some.
    const isAll = findings.every((finding) => finding["count"] >= lost);
    told[name] = [findings.map(({ severity }) => severity), lost > 0 && arrived + lost <= COUNT && isAll];
    fixes.push(...findings.flatMap((finding) => finding["fix"] as string[]));
  }
  expect(told).toEqual(Object.fromEntries(FAULTS.map(({ name }) => [name, [["problem"], true]])));
  await sh("/bin/sh", "-c", `set -e\n${fixes.join("\n")}`);

  // What the shaper delays is not lost.
  const due =
    FAULTS.filter(({ to }) => to === atFar).length * COUNT + (await readCounter(far.host, "UdpNoPorts"));
  const after = await traceDrops(async () => {
    await sendAll();
    await untilCounter(far.host, "UdpNoPorts", due);
  });
  const ended: Record<string, unknown> = {};
  for (const { name, port, to } of FAULTS) ended[name] = await countTo(to(place), after, port);
  expect(ended).toEqual(Object.fromEntries(FAULTS.map(({ name }) => [name, { arrived: COUNT, lost: 0 }])));
});
