import { describe, expect, test } from "vitest";
import { readCounter, untilCounter } from "./support/counters.ts";
import {
  addFarHost,
  evidenceOf,
  findingAt,
  findingsAt,
  forward,
  ipv4Packet,
  macOf,
  paste,
  rowsAt,
  sendFrames,
  sendProtocol,
  sendTo,
  silenceIpv6,
  traceDrops,
  warmUp,
} from "./support/network.ts";
import { sh } from "./support/shell.ts";
import { createWorld } from "./support/world.ts";

describe("the reverse path filter", () => {
  test("names device, settings and the way back; loose mode lets the packets in", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    await server.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1");
    await sh("ip", "-n", client.netns, "addr", "add", "10.99.1.1/32", "dev", "lo");
    await sh("ip", "-n", server.netns, "route", "add", "10.99.1.0/24", "dev", "lo");
    const send = () => sendTo(client, server.address, { source: "10.99.1.1" });
    const result = await traceDrops(send);
    const finding = await findingAt(server, result, "rp-filter");
    expect(finding).toMatchObject({
      severity: "problem",
      count: 20,
      summary: `The reverse path filter on ${server.dev} drops packets from 10.99.1.1: the way back to 10.99.1.1 leaves through lo (route 10.99.1.0/24 dev lo)`,
      netns: { inode: await server.inode(), name: server.netns },
      fix: [`ip netns exec ${server.netns} sysctl -w net.ipv4.conf.${server.dev}.rp_filter=2`],
    });
    expect(evidenceOf(finding)).toContain(
      `rp_filter on ${server.dev} is 1 (strict): the larger of all=1 and ${server.dev}=0`,
    );
    expect(evidenceOf(finding)).toContain("TcpExtIPReversePathFilter +20");
    expect(await readCounter(server, "TcpExtIPReversePathFilter")).toBe(20);
    expect(await rowsAt(server, result, "IP_RPFILTER")).toMatchObject([
      { source: "10.99.1.1", destination: server.address, destinationPort: 9, dev: server.dev, count: 20 },
    ]);
    const before = await readCounter(server, "UdpNoPorts");
    await paste(finding);
    await send();
    expect(await readCounter(server, "UdpNoPorts")).toBe(before + 20);
  });

  test("without any way back the missing route is the cause", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    await server.run("sysctl", "-qw", `net.ipv4.conf.${server.dev}.rp_filter=1`);
    await sh("ip", "-n", client.netns, "addr", "add", "10.99.1.1/32", "dev", "lo");
    const send = () => sendTo(client, server.address, { source: "10.99.1.1" });
    const finding = await findingAt(server, await traceDrops(send), "rp-filter");
    expect(finding["summary"]).toContain("there is no route back to 10.99.1.1");
    expect(finding["fix"]).toEqual([
      `ip netns exec ${server.netns} ip route add 10.99.1.1 dev ${server.dev}`,
    ]);
    const before = await readCounter(server, "UdpNoPorts");
    await paste(finding);
    await send();
    expect(await readCounter(server, "UdpNoPorts")).toBe(before + 20);
  });
});

describe("routes", () => {
  test("that refuse packets are named, each by its own text, for both families; deleting them lets the packets go on", async () => {
    await using world = await createWorld();
    await using far = await addFarHost(world);
    const { client, server } = world;
    await forward(server);
    await sh("ip", "-n", server.netns, "route", "add", "default", "via", far.host.address);
    await sh("ip", "-n", server.netns, "-6", "route", "add", "default", "via", far.host.address6);
    const kinds = ["blackhole", "unreachable", "prohibit"] as const;
    for (const [index, kind] of kinds.entries()) {
      await sh("ip", "-n", server.netns, "route", "add", kind, `10.84.${10 + index}.0/24`);
      await sh("ip", "-n", server.netns, "-6", "route", "add", kind, `fd84:0:${index + 1}::/48`);
    }
    await sh("ip", "-n", server.netns, "rule", "add", "to", "10.84.20.0/24", "priority", "77", "blackhole");
    await sh("ip", "-n", server.netns, "rule", "add", "dport", "4444", "priority", "78", "prohibit");
    const send = async () => {
      for (const index of kinds.keys()) {
        await sendTo(client, `10.84.${10 + index}.1`, { count: 10 + index });
        await sendTo(client, `fd84:0:${index + 1}::1`, { count: 10 + index });
      }
      await sendTo(client, "10.84.20.1", { count: 30 });
      await sendTo(client, "10.84.30.1", { count: 31, port: 4444 });
    };
    const result = await traceDrops(send);
    const findings = (await findingsAt(server, result)).filter((finding) => finding["severity"] !== "info");
    expect(findings.map(({ id }) => id as string).sort()).toEqual(
      [
        "route-blackhole",
        "route-prohibit",
        ...kinds.flatMap((kind) => [`route-${kind}`, `route-${kind}`]),
      ].sort(),
    );
    for (const [index, kind] of kinds.entries()) {
      const own = findings.filter(({ id, count }) => id === `route-${kind}` && count === 10 + index);
      expect(own).toHaveLength(2);
      expect(own.map(({ fix }) => fix[0] as string).sort()).toEqual([
        `ip netns exec ${server.netns} ip -6 route del ${kind} fd84:0:${index + 1}::/48 metric 1024`,
        `ip netns exec ${server.netns} ip route del ${kind} 10.84.${10 + index}.0/24`,
      ]);
      for (const finding of own) expect(finding["summary"]).toContain(`The route ${kind} `);
    }
    const rule = findings.find(({ count }) => count === 30);
    expect(rule).toMatchObject({
      id: "route-blackhole",
      fix: [`ip netns exec ${server.netns} ip rule del to 10.84.20.0/24 priority 77 blackhole`],
    });
    expect(rule?.["summary"]).toContain("policy rule (priority 77: from all to 10.84.20.0/24 blackhole)");

    expect(findings.find(({ count }) => count === 31)).toMatchObject({
      id: "route-prohibit",
      fix: [`ip netns exec ${server.netns} ip rule del dport 4444 priority 78 prohibit`],
    });

    for (const finding of findings) await paste(finding);
    // The far host does not forward: what reaches it now, for addresses it does not have, is counted there.
    await send();
    expect(await readCounter(far.host, "IpInAddrErrors")).toBe(10 + 11 + 12 + 30 + 31);
  });

  test("that are missing: forwarded packets, a throw route, and programs that got an error", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await forward(server);
    await sh("ip", "-n", client.netns, "route", "add", "10.98.0.0/16", "via", server.address);
    await sh("ip", "-n", client.netns, "-6", "route", "add", "fd98::/16", "via", server.address6);
    await sh("ip", "-n", server.netns, "route", "add", "throw", "10.98.7.0/24");
    await sh("ip", "-n", server.netns, "-6", "rule", "add", "to", "fd97::/16", "unreachable");
    let said = "";
    const result = await traceDrops(async () => {
      await sendTo(client, "10.98.7.1", { count: 12 });
      await sendTo(client, "fd98::1", { count: 13 });
      said = await sendTo(client, "10.97.0.1", { count: 14 });
      expect(await sendTo(server, "fd97::1", { count: 15 })).toBe("Network is unreachable 15");
    });
    const missing = (await findingsAt(server, result)).filter(({ id }) => id === "no-route");
    const v4 = missing.find(({ count }) => count === 12);
    const v6 = missing.find(({ count }) => count === 13);
    expect(missing).toHaveLength(2);
    expect(v4).toMatchObject({
      severity: "problem",
      fix: [`ip netns exec ${server.netns} ip route del throw 10.98.7.0/24`],
    });
    expect(v4?.["check"][0]).toBe(
      `ip netns exec ${server.netns} ip route get 10.98.7.1 from ${client.address} iif ${server.dev}`,
    );
    expect(evidenceOf(v4 ?? missing[0]!)).toContain("the route throw 10.98.7.0/24 ends the look-up");
    expect(evidenceOf(v4 ?? missing[0]!)).toContain("IpExtInNoRoutes +12");
    expect(v6).toMatchObject({
      severity: "problem",
      summary: expect.stringContaining("No route to fd98::1"),
    });
    expect(evidenceOf(v6 ?? missing[0]!)).toContain("Ip6InNoRoutes +13");
    expect(said).toBe("Network is unreachable 14");
    const out = await findingAt(client, result, "no-route-out");
    expect(out).toMatchObject({ severity: "problem", count: 14 });
    expect(evidenceOf(out)).toContain("IpOutNoRoutes +14 and no drop event");
    expect(evidenceOf(out)).toContain("there is no IPv4 default route");
    const refused = await findingAt(server, result, "no-route-out");
    expect(refused).toMatchObject({ severity: "problem", count: 15 });
    expect(evidenceOf(refused)).toMatch(/a policy rule gives this answer too: .* to fd97::\/16 unreachable/);
    await paste(refused);
    expect(await sh("ip", "-n", server.netns, "-6", "rule")).not.toContain("fd97");
  });

  test("that are gone because a device is down: it is named, and bringing it up mends it", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await sh("ip", "-n", server.netns, "link", "set", server.dev, "down");
    const result = await traceDrops(() => sendTo(server, client.address));
    const finding = await findingAt(server, result, "no-route-out");
    expect(evidenceOf(finding)).toContain(`${server.dev} is down, and with it the routes over it`);
    await paste(finding);
    expect(await sendTo(server, client.address)).toBe("");
  });
});

describe("forwarding", () => {
  test("switched off is named for both families, and switching it on lets the packets through", async () => {
    await using world = await createWorld();
    await using far = await addFarHost(world);
    const { client, server } = world;
    const send = async () => {
      await sendTo(client, far.host.address);
      await sendTo(client, far.host.address6, { count: 21 });
    };
    const result = await traceDrops(send);
    const findings = (await findingsAt(server, result)).filter(({ id }) => id === "forwarding-off");
    expect(findings).toMatchObject([
      {
        severity: "problem",
        count: 21,
        summary: `Packets to ${far.host.address6} arrive here, but the address is not of this host, and IPv6 forwarding is off`,
        fix: [`ip netns exec ${server.netns} sysctl -w net.ipv6.conf.all.forwarding=1`],
      },
      {
        severity: "problem",
        count: 20,
        summary: `Packets to ${far.host.address} arrive here, but the address is not of this host, and IPv4 forwarding is off`,
        fix: [`ip netns exec ${server.netns} sysctl -w net.ipv4.ip_forward=1`],
      },
    ]);
    expect(evidenceOf(findings[1] ?? findings[0]!)).toContain("IpInAddrErrors +20");
    for (const finding of findings) await paste(finding);
    await send();
    await untilCounter(far.host, "UdpNoPorts", 20);
    await untilCounter(far.host, "Udp6NoPorts", 21);
  });

  test("is not the cause where the host has lost an address of its network: adding it mends it", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    const lost = server.address.replace(/2$/, "9");
    await sh(
      "ip",
      "-n",
      client.netns,
      "neigh",
      "add",
      lost,
      "lladdr",
      (await macOf(server)).replace(/(..)(?=.)/g, "$1:"),
      "dev",
      client.dev,
    );
    const finding = await findingAt(server, await traceDrops(() => sendTo(client, lost)), "forwarding-off");
    expect(evidenceOf(finding)).toContain(`${lost} belongs to the network on ${server.dev}`);
    expect(finding["fix"]).toEqual([
      `ip netns exec ${server.netns} ip addr add ${lost}/32 dev ${server.dev}`,
    ]);
    await paste(finding);
    await sendTo(client, lost);
    await untilCounter(server, "UdpNoPorts", 20);
  });
});

describe("hops", () => {
  test("a routing loop is told by its own forwarding counter, and by packets that come back", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    for (const [host, other] of [
      [client, server],
      [server, client],
    ] as const) {
      await forward(host);
      await sh("ip", "-n", host.netns, "route", "add", "10.98.0.0/16", "via", other.address);
      await sh("ip", "-n", host.netns, "-6", "route", "add", "fd98::/16", "via", other.address6);
    }
    const result = await traceDrops(async () => {
      await sendTo(client, "10.98.1.1");
      await sendTo(client, "fd98::1", { count: 10 });
    });
    const loop = await findingAt(client, result, "ttl-exceeded");
    const forwarded = await readCounter(client, "Ip6OutForwDatagrams");
    expect(loop).toMatchObject({ severity: "problem", count: 10 });
    expect(loop["summary"]).toContain(
      `Routing loop: packets to fd98::1 go back and forth between this host and ${server.address6}`,
    );
    expect(evidenceOf(loop)).toContain(
      `Ip6OutForwDatagrams +${forwarded}: each went round ${forwarded / 10} times`,
    );
    const returned = await findingAt(client, result, "martian-returned");
    expect(returned).toMatchObject({ severity: "problem", count: 20 });
    expect(returned["summary"]).toContain(
      `packets that this host sends to 10.98.1.1 come back to it on ${client.dev}`,
    );
  });

  test("a TTL of 1 without a way back is a note: somebody runs traceroute", async () => {
    await using world = await createWorld();
    await using far = await addFarHost(world);
    const { client, server } = world;
    await forward(server);
    await client.run("sysctl", "-qw", "net.ipv4.ip_default_ttl=1");
    const result = await traceDrops(() => sendTo(client, far.host.address, { count: 3 }));
    const finding = await findingAt(server, result, "ttl-exceeded");
    expect(finding).toMatchObject({ severity: "info", count: 3, fix: [] });
    expect(evidenceOf(finding)).toContain("traceroute");
  });
});

test("martians are told apart by what is wrong with them; no counter of the namespace moves", async () => {
  await using world = await createWorld();
  const { client, server } = world;
  await warmUp(world);
  const to = await macOf(server);
  const send = (source: string, destination: string, count: number) =>
    sendFrames(client, { to, type: "0800", payload: ipv4Packet(source, destination), count });
  const result = await traceDrops(async () => {
    await send(server.address, server.address, 11);
    await send("224.0.0.5", server.address, 12);
    await send("127.0.0.5", server.address, 13);
    await send(client.address, "0.0.0.0", 14);
  });
  const expected = [
    ["martian-own-source", 11, server.address],
    ["martian-source", 12, "224.0.0.5"],
    ["martian-loopback", 13, "127.x.x.x"],
    ["martian-destination", 14, "0.0.0.0"],
  ] as const;
  for (const [id, count, text] of expected) {
    const finding = await findingAt(server, result, id);
    expect(finding).toMatchObject({ severity: "suspicious", count, summary: expect.stringContaining(text) });
    expect(finding["check"].join("\n")).toContain(
      `ip netns exec ${server.netns} tcpdump -enc 20 -i ${server.dev}`,
    );
  }
});

describe("MTU", () => {
  test("100 on one end of a veth pair and datagrams of 500 bytes: both ends are named, the smaller is raised", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    await silenceIpv6(world);
    await sh("ip", "-n", server.netns, "link", "set", server.dev, "mtu", "100");
    const before = await readCounter(server, "UdpNoPorts");
    const send = () => sendTo(client, server.address, { size: 500 });
    const result = await traceDrops(send);
    const finding = await findingAt(client, result, "mtu-peer");
    expect(finding).toMatchObject({
      severity: "problem",
      count: 20,
      summary: `The two ends of a veth pair have different MTUs: ${client.dev} in namespace "${client.netns}" sends up to 1500 bytes, ${server.dev} in namespace "${server.netns}" takes only 100`,
      fix: [`ip netns exec ${server.netns} ip link set dev ${server.dev} mtu 1500`],
    });
    expect(evidenceOf(finding)).toContain("20 packets of 528 bytes on average did not fit");
    expect(evidenceOf(finding)).toContain(`RX dropped of ${server.dev} +20`);
    expect(evidenceOf(finding)).toContain(`IpOutDiscards +${await readCounter(client, "IpOutDiscards")}`);
    expect((await findingsAt(server, result)).filter(({ severity }) => severity !== "info")).toEqual([]);
    await paste(finding);
    await send();
    expect(await readCounter(server, "UdpNoPorts")).toBe(before + 20);
  });

  test("smaller on the next link than packets that must not be cut: which, for both families", async () => {
    await using world = await createWorld();
    await using far = await addFarHost(world, 1300);
    const { client, server } = world;
    await forward(server);
    const send = async () => {
      await sendTo(client, far.host.address, { size: 1400, pathMtu: 3 });
      await sendTo(client, far.host.address6, { size: 1400, pathMtu: 3, count: 21 });
    };
    const result = await traceDrops(send);
    const findings = (await findingsAt(server, result)).filter(({ id }) => id === "mtu-too-big");
    expect(findings.map(({ count }) => count as number)).toEqual([21, 20]);
    for (const finding of findings) {
      expect(finding).toMatchObject({ severity: "problem" });
      expect(finding["summary"]).toContain(
        `did not fit into ${far.routerDev} (MTU 1300) and must not be cut`,
      );
      expect(finding["fix"][0]).toBe(
        `ip netns exec ${server.netns} ip link set dev ${far.routerDev} mtu 1500`,
      );
      expect(finding["check"].join("\n")).toContain(`iif ${server.dev}`);
    }
    expect(evidenceOf(findings[1] ?? findings[0]!)).toContain("IpFragFails +20");
    await paste(findings[0]!);
    await sh("ip", "-n", far.host.netns, "link", "set", far.host.dev, "mtu", "1500");
    await send();
    await untilCounter(far.host, "UdpNoPorts", 20);
    await untilCounter(far.host, "Udp6NoPorts", 21);
  });

  test("below 1280 IPv6 is off: the device is named, and whoever still tries", async () => {
    await using world = await createWorld({ mtu: 1000 });
    const { client, server } = world;
    await sh("ip", "-n", client.netns, "link", "set", client.dev, "mtu", "1500");
    await sh("ip", "-n", client.netns, "addr", "add", `${client.address6}/64`, "dev", client.dev, "nodad");
    const mac = (await macOf(server)).replace(/(..)(?=.)/g, "$1:");
    await sh("ip", "-n", client.netns, "neigh", "add", server.address6, "lladdr", mac, "dev", client.dev);
    const result = await traceDrops(async () => {
      await sendTo(client, server.address6);
      expect(await sendTo(server, "fd99::1", { count: 7 })).toBe("Network is unreachable 7");
    });
    const finding = await findingAt(server, result, "mtu-ipv6-off");
    expect(finding).toMatchObject({ severity: "problem" });
    expect(finding["count"]).toBeGreaterThanOrEqual(27);
    expect(finding["summary"]).toContain(`${server.dev} has MTU 1000: below 1280 there is no IPv6 on it`);
    expect(evidenceOf(finding)).toContain("Ip6OutNoRoutes +7");
    expect(finding["fix"]).toEqual([`ip netns exec ${server.netns} ip link set dev ${server.dev} mtu 1500`]);
    await paste(finding);
    await sh("ip", "-n", server.netns, "addr", "add", `${server.address6}/64`, "dev", server.dev, "nodad");
    await sendTo(client, server.address6);
    await untilCounter(server, "Udp6NoPorts", 20);
  });

  test("far below normal is suspicious also where nothing was lost", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    // A late greeting of IPv6 would be lost here, and be another finding about the same device.
    for (const { netns } of [client, server])
      await sh("ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1");
    await sh("ip", "-n", client.netns, "link", "set", client.dev, "mtu", "100");
    await sh("ip", "-n", client.netns, "route", "add", "224.0.0.0/4", "dev", client.dev);
    // To a group: nobody answers, so nothing too large comes back.
    const result = await traceDrops(() => sendTo(client, "239.1.2.3", { size: 500, count: 2 }));
    const finding = await findingAt(client, result, "mtu-low");
    expect(finding).toMatchObject({ severity: "suspicious" });
    expect(finding["summary"]).toContain(`${client.dev} has an MTU of 100, far below normal`);
    expect(evidenceOf(finding)).toContain("IpFragCreates +14");
    expect(finding["fix"]).toEqual([`ip netns exec ${client.netns} ip link set dev ${client.dev} mtu 1500`]);
  });
});

describe("neighbours", () => {
  test("that do not answer are named with address and device; one with ARP switched off is found", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    // An answer is given up after three times this, instead of three seconds.
    const fast = ["ipv4", "ipv6"].map((family) => `net.${family}.neigh.${client.dev}.retrans_time_ms=100`);
    await client.run("sysctl", "-qw", ...fast);
    await sh("ip", "-n", client.netns, "neigh", "flush", "all");
    await sh("ip", "-n", client.netns, "neigh", "flush", "all", "nud", "failed");
    await sh("ip", "-n", server.netns, "link", "set", server.dev, "arp", "off");
    const nobody = client.address.replace(/1$/, "77");
    const nobody6 = client.address6.replace(/1$/, "77");
    const failed = async (least: number) => {
      await untilCounter(client, "IcmpOutDestUnreachs", least);
    };
    const result = await traceDrops(async () => {
      await sendTo(client, nobody);
      await sendTo(client, nobody6, { count: 21 });
      await sendTo(client, server.address, { count: 22 });
      await failed(42);
      await untilCounter(client, "Icmp6OutDestUnreachs", 21);
    });
    const findings = (await findingsAt(client, result)).filter(({ id }) => id === "neighbour-unresolved");
    expect(findings).toMatchObject([
      {
        severity: "problem",
        count: 22,
        summary: `Nobody answers ARP for ${server.address} on ${client.dev}: 22 packets for it thrown away`,
        fix: [`ip netns exec ${server.netns} ip link set dev ${server.dev} arp on`],
      },
      {
        count: 21,
        summary: `Nobody answers IPv6 neighbour discovery for ${nobody6} on ${client.dev}: 21 packets for it thrown away`,
      },
      {
        count: 20,
        summary: `Nobody answers ARP for ${nobody} on ${client.dev}: 20 packets for it thrown away`,
        check: [
          `ip netns exec ${client.netns} ip neigh show dev ${client.dev} to ${nobody}`,
          `ip netns exec ${client.netns} arping -c 3 -I ${client.dev} ${nobody}`,
        ],
      },
    ]);
    const [arp, , none] = findings;
    expect(evidenceOf(arp ?? findings[0]!)).toContain("where ARP is switched off");
    expect(evidenceOf(none ?? findings[0]!)).toContain(`neighbour entry: ${nobody} dev ${client.dev} FAILED`);
    await paste(arp ?? findings[0]!);
    await sh("ip", "-n", client.netns, "neigh", "flush", "all", "nud", "failed");
    const before = await readCounter(server, "UdpNoPorts");
    await sendTo(client, server.address, { count: 5 });
    await untilCounter(server, "UdpNoPorts", before + 5);
  });

  test("that do not answer in time: what the queue cannot hold is part of the same finding", async () => {
    await using world = await createWorld();
    const { client } = world;
    await client.run(
      "sysctl",
      "-qw",
      `net.ipv4.neigh.${client.dev}.unres_qlen_bytes=2000`,
      `net.ipv4.neigh.${client.dev}.retrans_time_ms=100`,
    );
    const nobody = client.address.replace(/1$/, "77");
    const result = await traceDrops(async () => {
      await sendTo(client, nobody, { count: 50, size: 1000 });
      await untilCounter(client, "IcmpOutDestUnreachs", 1);
    });
    const finding = await findingAt(client, result, "neighbour-unresolved");
    expect(finding).toMatchObject({ severity: "problem", count: 50 });
    expect(evidenceOf(finding)).toMatch(/4\d were pushed out of the queue/);
  });
});

test("packets nobody can use: unknown protocols, spoilt headers, groups nobody joined, IPv6 switched off", async () => {
  await using world = await createWorld();
  const { client, server } = world;
  await warmUp(world);
  await sh("ip", "-n", client.netns, "route", "add", "224.0.0.0/4", "dev", client.dev);
  const to = await macOf(server);
  const broadcast = server.address.replace(/2$/, "255");
  const frame = (payload: string, count: number) => sendFrames(client, { to, type: "0800", payload, count });
  const result = await traceDrops(async () => {
    await sendProtocol(client, server.address, 253, 11);
    await sendProtocol(client, server.address, 47, 12);
    await frame(ipv4Packet(client.address, server.address, { version: "55" }), 13);
    await frame(ipv4Packet(client.address, server.address, { length: "0100" }), 14);
    await frame(ipv4Packet(client.address, broadcast), 15);
    await frame(ipv4Packet(client.address, server.address, { fragment: "2000", length: "002c" }), 17);
    await sendTo(client, "239.1.2.3", { count: 16 });
    await server.run("sysctl", "-qw", `net.ipv6.conf.${server.dev}.disable_ipv6=1`);
    await sendTo(client, server.address6, { count: 18 });
  });
  const protocols = (await findingsAt(server, result)).filter(({ id }) => id === "protocol-unknown");
  expect(protocols).toMatchObject([
    { severity: "problem", count: 12, fix: [`modprobe ip_gre`] },
    { severity: "problem", count: 11, fix: [] },
  ]);
  expect(protocols[1]?.["summary"]).toContain(
    `11 packets of IP protocol number 253 came in from ${client.address}`,
  );
  const expected = [
    ["ip-header-invalid", "suspicious", 13, "IpInHdrErrors +13"],
    ["packet-truncated", "suspicious", 14, "IpExtInTruncatedPkts +14"],
    ["multicast-not-joined", "info", 31, "239.1.2.3:9 udp (16)"],
    ["fragments-lost", "suspicious", 16, "IpReasmReqds +17"],
    ["ipv6-disabled", "problem", 18, `net.ipv6.conf.${server.dev}.disable_ipv6 is 1`],
  ] as const;
  for (const [id, severity, count, proof] of expected) {
    const finding = await findingAt(server, result, id);
    expect([id, finding["severity"], finding["count"]]).toEqual([id, severity, count]);
    expect(evidenceOf(finding)).toContain(proof);
  }
});

describe("IPsec", () => {
  test("a policy that blocks, and one without a tunnel: told by the counters of IPsec, taken away by name", async () => {
    await using world = await createWorld();
    const { client, server } = world;
    await warmUp(world);
    const pair = ["src", client.address, "dst", server.address];
    await sh("ip", "-n", server.netns, "xfrm", "policy", "add", "dir", "in", ...pair, "action", "block");
    const blocked = await traceDrops(() => sendTo(client, server.address));
    const input = await findingAt(server, blocked, "ipsec");
    expect(input).toMatchObject({
      severity: "problem",
      count: 20,
      summary: `IPsec refuses incoming packets from ${client.address}: XfrmInPolBlock +20`,
    });
    expect(input["check"][0]).toBe(`ip netns exec ${server.netns} ip -s xfrm policy`);

    await sh(
      "ip",
      "-n",
      client.netns,
      "xfrm",
      "policy",
      "add",
      "dir",
      "out",
      ...pair,
      "tmpl",
      "proto",
      "esp",
      "mode",
      "transport",
    );
    const keyless = await traceDrops(() => sendTo(client, server.address, { count: 21 }));
    const output = await findingAt(client, keyless, "ipsec");
    expect(output).toMatchObject({ severity: "problem", count: 21 });
    expect(output["summary"]).toContain(`outgoing packets to ${server.address}: XfrmOutNoStates +21`);
  });
});
