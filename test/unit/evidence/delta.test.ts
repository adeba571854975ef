import { describe, expect, it } from "vitest";
import { deltaNet, deltaNets } from "../../../src/evidence/net/delta.ts";
import { pairRules } from "../../../src/evidence/net/delta/rule-pairs.ts";
import type { FirewallRule, NetDelta, NetSnapshot, RuleDelta } from "../../../src/evidence/net/types.ts";
import { AFTER, BEFORE, readSnapshot } from "./fixtures.ts";

const server = { before: readSnapshot(BEFORE, "evsrv"), after: readSnapshot(AFTER, "evsrv") };
const client = { before: readSnapshot(BEFORE, "evcli"), after: readSnapshot(AFTER, "evcli") };
const serverDelta = deltaNet(server.before, server.after);
const clientDelta = deltaNet(client.before, client.after);

const rule = (delta: NetDelta, text: string): RuleDelta => {
  const found = delta.rules.find((item) => item.text.includes(text));
  if (found === undefined) throw new Error(`no rule ${text}`);
  return found;
};

describe("counters", () => {
  it("are those that moved, with their namespace", () => {
    expect(serverDelta.counters).toContainEqual({
      netns: { inode: expect.any(Number), name: "evsrv" },
      name: "TcpExtListenDrops",
      before: 0,
      after: 14,
      delta: 14,
    });
    expect(serverDelta.counters.every((counter) => counter.delta > 0)).toBe(true);
  });

  it("all count from 0 in a namespace that came during the run", () => {
    const created = deltaNet(null, server.after, true);
    expect(created.counters).toContainEqual(
      expect.objectContaining({ name: "UdpRcvbufErrors", before: 0, delta: 17 }),
    );
    expect(created.rules.every((item) => item.presence === "added")).toBe(true);
    expect(rule(created, "dport 1235 -j DROP").packets).toEqual({ before: null, after: 20, delta: 20 });
  });

  it("are unknown where the start could not be read", () => {
    const unknown = deltaNet(null, server.after, false);
    expect(unknown.counters).toEqual([]);
    expect(rule(unknown, "dport 1235 -j DROP")).toMatchObject({ packets: { delta: null }, presence: "both" });
    expect(unknown.datagramSockets).toEqual([]);
  });

  it("claim no change where the run ended before its start was read", () => {
    const [delta] = deltaNets(null, [server.after]);
    expect(delta?.counters).toEqual([]);
    expect(delta?.qdiscs).toEqual([]);
    expect(delta?.interfaces.every(({ rxOk }) => rxOk.delta === null)).toBe(true);
    expect(delta?.rules.every(({ packets, presence }) => packets.delta === null && presence === "both")).toBe(
      true,
    );
  });

  it("are matched by namespace; one that is gone is known as it was, nothing of what it counted", () => {
    const deltas = deltaNets([server.before, client.before], [client.after]);
    expect(deltas.map((delta) => delta.netns.name)).toEqual(["evcli", "evsrv"]);
    expect(deltas[0]?.isGone).toBe(false);
    expect(deltas[1]).toMatchObject({
      isGone: true,
      counters: [],
      interfaces: [],
      qdiscs: [],
      listeners: [],
    });
    expect(deltas[1]?.gone.links.map(({ name }) => name)).toEqual(["lo", "s0"]);
    expect(deltas[1]?.rules.every(({ packets }) => packets.delta === null)).toBe(true);
    expect(deltas[0]?.seconds).toBeGreaterThan(0);
  });
});

describe("rules", () => {
  it("moved by what they dropped, in every backend", () => {
    for (const text of [
      "--dport 1235 -j DROP",
      "--dport 1236 -j DROP",
      "dport 1237 counter",
      "dport 1245 counter",
    ]) {
      expect(rule(serverDelta, text).packets).toEqual({ before: 0, after: 20, delta: 20 });
    }
  });

  it("say what a rule without a counter cannot", () => {
    expect(rule(serverDelta, "dport 1238 drop")).toMatchObject({
      hasCounter: false,
      packets: { before: null, after: null, delta: null },
      verdict: { kind: "drop" },
      presence: "both",
    });
  });

  it("are followed when their number shifts, and new ones are told", () => {
    expect(rule(serverDelta, "--dport 1234")).toMatchObject({
      number: 2,
      presence: "both",
      probability: expect.closeTo(0.3, 6),
    });
    const added = serverDelta.rules.filter((item) => item.presence === "added");
    expect(added.map((item) => `${item.tool} ${item.backend} ${item.text}`)).toEqual([
      "iptables nft -A INPUT -p tcp -m tcp --dport 1 -j DROP",
      "iptables legacy -A INPUT -p tcp -m tcp --dport 1 -j DROP",
      "nft nft tcp dport 4 counter drop",
    ]);
  });

  it("say which went, and that no one knows how much they counted", () => {
    expect(serverDelta.rules.filter((item) => item.presence === "removed")).toMatchObject([
      { text: expect.stringContaining("--dport 7 -j REJECT"), packets: { after: null, delta: null } },
    ]);
  });

  it("are those of the start where the end could not be read", () => {
    const delta = deltaNet(server.before, { ...server.after, configuration: null });
    expect(delta.rules).toHaveLength(server.before.configuration?.firewall?.rules.length ?? -1);
    expect(delta.rules.every((item) => item.presence === "both" && item.packets.delta === null)).toBe(true);
    expect(delta.state.configuration).toBe(server.before.configuration);
  });
});

const pair = (before: FirewallRule[], after: FirewallRule[]) => {
  const { pairs, removed } = pairRules(before, after);
  return {
    pairs: pairs.map((item) => [item.before?.packets ?? null, item.after.packets]),
    removed: removed.map((r) => r.packets),
  };
};

describe("pairs of rules", () => {
  const [sample] = server.after.configuration?.firewall?.rules ?? [];
  const make = (text: string, handle: number | null, packets: number): FirewallRule => {
    if (sample === undefined) throw new Error("no rule in the recording");
    return { ...sample, text, handle, packets };
  };
  it("with the same text stay apart", () => {
    expect(
      pair([make("a", null, 1), make("a", null, 2)], [make("a", null, 10), make("a", null, 20)]),
    ).toEqual({
      pairs: [
        [1, 10],
        [2, 20],
      ],
      removed: [],
    });
  });

  it("with another handle are another rule", () => {
    expect(pair([make("a", 4, 1)], [make("a", 5, 10)])).toEqual({ pairs: [[null, 10]], removed: [1] });
  });

  it("go by handle first, even when the order changed", () => {
    expect(pair([make("a", 4, 1), make("a", 5, 2)], [make("a", 5, 20), make("a", 4, 10)]).pairs).toEqual([
      [2, 20],
      [1, 10],
    ]);
  });

  it("go by text where a handle is unknown on one side", () => {
    expect(pair([make("a", 4, 1), make("b", null, 2)], [make("a", null, 10), make("b", 6, 20)])).toEqual({
      pairs: [
        [1, 10],
        [2, 20],
      ],
      removed: [],
    });
  });
});

const chain = (delta: NetDelta, backend: string, name: string) =>
  delta.chains.find((item) => item.backend === backend && item.chain === name);

describe("policies", () => {
  it("count in x_tables, not in nftables", () => {
    expect(chain(serverDelta, "legacy", "FORWARD")).toMatchObject({
      policy: "drop",
      packets: { before: 0, after: 0, delta: 0 },
    });
    expect(chain(serverDelta, "nft", "FORWARD")).toMatchObject({
      packets: { before: null, after: null, delta: null },
    });
  });

  it("count from 0 in a chain of iptables-nft that turns out to count", () => {
    const { configuration } = server.after;
    if (configuration?.firewall == null) throw new Error("no firewall in the recording");
    const chains = configuration.firewall.chains.map((item) =>
      item.backend === "nft" && item.chain === "FORWARD" ? { ...item, packets: 5, bytes: 300 } : item,
    );
    const after: NetSnapshot = {
      ...server.after,
      configuration: { ...configuration, firewall: { ...configuration.firewall, chains } },
    };
    expect(chain(deltaNet(server.before, after), "nft", "FORWARD")?.packets).toEqual({
      before: 0,
      after: 5,
      delta: 5,
    });
  });
});

describe("sockets and queues", () => {
  it("name the receiver that does not read, and the listener that overflowed", () => {
    expect(serverDelta.datagramSockets).toMatchObject([
      { localPort: 5000, drops: { before: 0, after: 17, delta: 17 }, receiveBuffer: 4608, presence: "both" },
    ]);
    expect(serverDelta.listeners).toContainEqual(
      expect.objectContaining({
        port: 5001,
        queuedBefore: 0,
        queued: 2,
        backlog: 1,
        drops: { before: 0, after: 14, delta: 14 },
      }),
    );
  });

  it("name the qdisc that dropped", () => {
    expect(clientDelta.qdiscs).toMatchObject([{ qdisc: { dev: "c0", kind: "tbf" }, drops: { before: 0 } }]);
    expect(clientDelta.qdiscs[0]?.drops.delta).toBeGreaterThan(0);
    expect(serverDelta.qdiscs).toEqual([]);
  });

  it("name the action that took packets, the set element that matched, and who does not answer", () => {
    expect(serverDelta.filters).toMatchObject([
      { dev: "s0", direction: "ingress", action: "mirred", packets: { delta: 20 } },
    ]);
    expect(serverDelta.setElements).toContainEqual(
      expect.objectContaining({
        set: "s",
        key: "10.88.0.2-10.88.0.9",
        packets: { before: 0, after: 20, delta: 20 },
      }),
    );
    expect(clientDelta.unresolved).toMatchObject([{ address: "10.88.0.77", since: "during" }]);
  });
});

describe("interfaces", () => {
  it("are all that exist, with the columns of netstat -i", () => {
    expect(clientDelta.interfaces.map((row) => [row.name, row.mtu])).toEqual([
      ["lo", 65_536],
      ["c0", 1400],
    ]);
    const row = clientDelta.interfaces[1];
    expect(row?.txOk.delta).toBeGreaterThan(300);
    expect(row?.rxOverruns).toEqual({ before: 0, after: 0, delta: 0 });
    expect(row?.details).toEqual({});
  });

  it("count from 0 when a device of the same name was made anew", () => {
    const links = client.after.configuration?.links?.map((link) =>
      link.name === "c0" ? { ...link, index: 99 } : link,
    );
    if (links === undefined || client.after.configuration === null)
      throw new Error("no links in the recording");
    const after = { ...client.after, configuration: { ...client.after.configuration, links } };
    const row = deltaNet(client.before, after).interfaces[1];
    expect(row?.rxOk).toEqual({ before: null, after: row?.rxOk.after, delta: row?.rxOk.after });
  });

  it("show the details that ip only prints when they are not 0", () => {
    const links = client.after.configuration?.links?.map((link) => ({
      ...link,
      stats: { ...link.stats, "rx.nohandler": 4 },
    }));
    if (links === undefined || client.after.configuration === null)
      throw new Error("no links in the recording");
    const after = { ...client.after, configuration: { ...client.after.configuration, links } };
    expect(deltaNet(client.before, after).interfaces[1]?.details).toEqual({
      "rx.nohandler": { before: 0, after: 4, delta: 4 },
    });
  });
});

it("compares what the whole host shares only in our own namespace", () => {
  expect(serverDelta).toMatchObject({ softnet: null, arp: null, ndisc: null, routing: null });
  const softnet = [
    { cpu: 1, processed: 0xffff_ffff, dropped: 1, timeSqueeze: 0, receivedRps: 0, flowLimit: 0, backlog: 0 },
  ];
  const later = [
    { cpu: 1, processed: 4, dropped: 8, timeSqueeze: 2, receivedRps: 0, flowLimit: 0, backlog: 0 },
  ];
  const host = (cpus: typeof softnet, fulls: number) => ({
    softnet: cpus,
    arp: { entries: 9, table_fulls: fulls },
    ndisc: null,
    routing: null,
  });
  const before = { ...server.before, counters: { ...server.before.counters, host: host(softnet, 1) } };
  const after = { ...server.after, counters: { ...server.after.counters, host: host(later, 4) } };
  expect(deltaNet(before, after)).toMatchObject({
    softnet: [{ cpu: 1, processed: { delta: 5 }, dropped: { delta: 7 }, timeSqueeze: { delta: 2 } }],
    arp: { table_fulls: { before: 1, after: 4, delta: 3 } },
    ndisc: null,
  });
});

it("says once what was missing at both ends", () => {
  const missing = [{ what: "tc qdisc", why: "not installed" }];
  const unread = [{ what: "ip", count: 2 }];
  const delta = deltaNet(
    { ...server.before, missing, unread },
    { ...server.after, missing, unread: [{ what: "ip", count: 5 }] },
  );
  expect(delta).toMatchObject({ missing, unread: [{ what: "ip", count: 5 }] });
});
