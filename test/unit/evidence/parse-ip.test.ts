import { describe, expect, it } from "vitest";
import { parseIpBatch } from "../../../src/evidence/net/parse/ip-batch.ts";
import { parseToolJson } from "../../../src/evidence/net/parse/json.ts";
import { parseLinks, parseNetnsIds } from "../../../src/evidence/net/parse/links.ts";
import { parseNeighbours } from "../../../src/evidence/net/parse/neighbours.ts";
import { parsePolicyRules, parseRoutes } from "../../../src/evidence/net/parse/routes.ts";
import type { JsonRecord } from "../../../src/evidence/net/parse/values.ts";
import { AFTER, DEBIAN13, readSection } from "./fixtures.ts";

describe("ip -batch", () => {
  it.each([
    [AFTER, "evsrv"],
    [AFTER, "evcli"],
    [DEBIAN13, "a"],
  ])("knows every item of %s %s", (path, name) => {
    const { value, unread } = parseIpBatch(readSection(path, name, "ip"));
    expect(unread).toBe(0);
    for (const list of [value.links, value.routes, value.rules, value.netnsIds])
      expect(list.length).toBeGreaterThan(0);
  });

  it("tells lists apart without their order", () => {
    const { value } = parseIpBatch(
      '[{"priority":0}]\n[]\n[{"dst":"10.0.0.1","dev":"a","state":["FAILED"]},{}]\n[{"dst":"default"}]',
    );
    expect(value.rules).toHaveLength(1);
    expect(value.neighbours).toHaveLength(1);
    expect(value.routes).toHaveLength(1);
  });

  it("counts a cut list and keeps the whole ones", () => {
    const { value, unread } = parseIpBatch('[{"ifindex":1,"ifname":"lo"}]\n[{"dst":"10.0.0.1","de');
    expect(value.links).toHaveLength(1);
    expect(unread).toBe(1);
  });
});

it("reads device names with control characters, which ip does not escape", () => {
  expect(parseToolJson('[{"ifname":"a\u0001\u001b[2J"}]')).toEqual([{ ifname: "a\u0001\u001b[2J" }]);
  expect(parseToolJson("[{]")).toBeUndefined();
});

const parse = (item: JsonRecord) => parseLinks([{ ifindex: 4, ifname: "x", ...item }], new Map()).value[0];

describe("links", () => {
  const { value } = parseIpBatch(readSection(AFTER, "evcli", "ip"));
  const links = parseLinks(value.links, parseNetnsIds(value.netnsIds)).value;

  it("says where the other end of a veth is", () => {
    const veth = links.find((link) => link.name === "c0");
    expect(veth).toMatchObject({
      kind: "veth",
      mtu: 1400,
      peerIndex: 2,
      peerNetns: "evsrv",
      physical: false,
      qdisc: "tbf",
    });
    expect(veth?.stats["tx.dropped"]).toBe(0);
    expect(links.find((link) => link.name === "lo")).toMatchObject({
      peerIndex: null,
      peerNsid: null,
      physical: false,
    });
  });

  it("reads XDP programs in every mode, one or several", () => {
    const prog = { id: 4814, name: "evx_drop", tag: "b1" };
    expect(parse({ xdp: { mode: 1, prog, attached: [{ mode: 1, prog }] } })?.xdp).toEqual([
      { mode: "native", id: 4814, name: "evx_drop" },
    ]);
    expect(
      parse({
        xdp: {
          mode: 4,
          attached: [
            { mode: 2, prog: { id: 1 } },
            { mode: 3, prog: { id: 2 } },
          ],
        },
      })?.xdp,
    ).toEqual([
      { mode: "generic", id: 1, name: null },
      { mode: "offloaded", id: 2, name: null },
    ]);
    expect(parse({ xdp: { mode: 2, prog } })?.xdp).toHaveLength(1);
  });

  it("takes a device with a bus, or an ethernet device of no kind, for hardware", () => {
    expect(parse({ link_type: "ether", parentbus: "pci" })?.physical).toBe(true);
    expect(parse({ link_type: "ether" })?.physical).toBe(true);
    expect(parse({ link_type: "ether", linkinfo: { info_kind: "bridge" } })?.physical).toBe(false);
  });

  it("keeps a kind's settings as text", () => {
    const link = parse({
      linkinfo: { info_kind: "vxlan", info_data: { id: 42, port: 4789, learning: true, ttl: null } },
    });
    expect(link?.info).toEqual({ id: "42", port: "4789", learning: "true" });
  });

  it("counts what is no link", () => {
    expect(parseLinks([{ ifname: "x" }], new Map())).toEqual({ value: [], unread: 1 });
  });
});

it("reads unresolved neighbours", () => {
  const { value } = parseIpBatch(readSection(AFTER, "evcli", "ip"));
  expect(parseNeighbours(value.neighbours).value).toContainEqual({
    address: "10.88.0.77",
    dev: "c0",
    lladdr: null,
    state: ["INCOMPLETE"],
    probes: expect.any(Number),
    proxy: false,
  });
});

describe("routes", () => {
  const { value } = parseIpBatch(readSection(AFTER, "evsrv", "ip"));
  const { value: routes, unread } = parseRoutes(value.routes);

  it("reads the kinds that drop, of both families and all tables", () => {
    expect(unread).toBe(0);
    expect(routes).toContainEqual(
      expect.objectContaining({ type: "blackhole", destination: "10.99.0.0/16", family: "ipv4" }),
    );
    expect(routes).toContainEqual(
      expect.objectContaining({ type: "unreachable", destination: "2001:db8::/32", family: "ipv6" }),
    );
    expect(routes).toContainEqual(expect.objectContaining({ type: "throw", table: "100" }));
  });

  it.each([
    [{ dst: "default", gateway: "10.0.0.1" }, "ipv4"],
    [{ dst: "default", metric: 100 }, "ipv4"],
    [{ dst: "default", gateway: "fe80::1", pref: "medium" }, "ipv6"],
    [{ dst: "default", dev: "lo", type: "unreachable", metric: 5, pref: "medium" }, "ipv6"],
    [{ dst: "fd00::/8" }, "ipv6"],
  ])("knows the family of %j", (item, family) => {
    expect(parseRoutes([item]).value[0]?.family).toBe(family);
  });

  it("reads next hops, a gateway of the other family, and the MTU", () => {
    const nexthops = [
      { gateway: "10.0.0.2", dev: "a", weight: 2, flags: [] },
      { via: { family: "inet6", host: "fe80::2" }, dev: "b", flags: ["dead", "linkdown"] },
    ];
    const [route] = parseRoutes([{ dst: "10.0.0.0/8", nexthops, metrics: [{ mtu: 500 }] }]).value;
    expect(route).toMatchObject({ mtu: 500, gateway: null });
    expect(route?.nextHops).toEqual([
      { gateway: "10.0.0.2", dev: "a", weight: 2, flags: [] },
      { gateway: "fe80::2", dev: "b", weight: null, flags: ["dead", "linkdown"] },
    ]);
  });
});

it("reads policy rules, with what they decide and how they match", () => {
  const items = [
    { priority: 100, src: "10.0.0.0", srclen: 8, fwmark: "0x10", fwmask: "0xff", table: "100" },
    { priority: 200, src: "all", iif: "lo", action: "prohibit" },
    { priority: 300, not: null, src: "all", table: "main", suppress_prefixlen: 0 },
    { priority: 400, src: "all", dst: "1.2.3.4", ipproto: "tcp", dport: 80, goto: 32_766 },
    { src: "all" },
  ];
  const { value, unread } = parsePolicyRules(items, "ipv4");
  expect(unread).toBe(1);
  expect(value).toMatchObject([
    { source: "10.0.0.0/8", fwmark: "0x10/0xff", table: "100", action: "lookup", other: {} },
    { source: "all", destination: "all", iif: "lo", action: "prohibit", table: null },
    { action: "lookup", other: { not: "true", suppress_prefixlen: "0" } },
    { action: "goto", destination: "1.2.3.4", other: { goto: "32766", ipproto: "tcp", dport: "80" } },
  ]);
});
