import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { describe, expect, test } from "vitest";
import { coveringPrefixes, isInPrefix } from "../../../src/diagnose/rules/network/support/addresses.ts";
import {
  createRouter,
  deletePolicyRule,
  deleteRoute,
  tellRoute,
} from "../../../src/diagnose/rules/network/support/routing.ts";
import type { PolicyRule, Route } from "../../../src/evidence/net/types.ts";
import { makePolicyRule, makeRoute } from "./network-support.ts";
import { makeNetwork } from "./support.ts";

const router = (routes: Route[], policyRules: PolicyRule[] = []) =>
  createRouter(makeNetwork({ configuration: { routes, policyRules } }));

const address = fc.oneof(
  fc.ipV4(),
  fc.ipV6().filter((text) => ipaddr.IPv6.isValid(text)),
);

describe("prefixes", () => {
  test("an address is covered by each of its prefixes, from itself to the default", () => {
    fc.assert(
      fc.property(address, (text) => {
        const prefixes = coveringPrefixes(text);
        expect(prefixes).toHaveLength(text.includes(":") ? 129 : 33);
        expect(prefixes[0]).toBe(ipaddr.parse(text).toString());
        expect(prefixes.at(-1)).toBe("default");
        for (const prefix of prefixes) expect(isInPrefix(text, prefix)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test("agree with another implementation about what they cover", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (one, other, length) => {
        const expected = ipaddr.IPv4.parse(one).match([ipaddr.IPv4.parse(other), length]);
        expect(isInPrefix(one, `${other}/${length}`)).toBe(expected);
      }),
    );
  });

  test.each(["", "eth0", "10.0.0", "10.0.0.1/33", "fe80::1%eth0x", "1.2.3.4.5", "::g"])(
    "%j is no address: nothing covers it and nothing is in it",
    (text) => {
      if (!text.includes("/") && !text.includes("%")) expect(coveringPrefixes(text)).toEqual([]);
      expect(isInPrefix("192.0.2.1", text)).toBe(false);
    },
  );
});

describe("the route of a packet", () => {
  const routes = [
    makeRoute("default", { gateway: "10.0.0.254" }),
    makeRoute("10.0.0.0/24", { metric: 100, dev: "eth1" }),
    makeRoute("10.0.0.0/24", { metric: 50 }),
    makeRoute("10.0.0.9", { type: "blackhole", dev: null }),
    makeRoute("10.0.0.7", { flags: ["dead"] }),
    makeRoute("10.0.0.1", { type: "local", table: "local" }),
    makeRoute("default", { family: "ipv6", gateway: "fe80::1", metric: 1024 }),
    makeRoute("fd00::/64", { metric: 256 }),
    makeRoute("10.9.0.0/16", { table: "100", dev: "tun0" }),
    makeRoute("10.8.0.0/16", { type: "throw", dev: null, table: "100" }),
  ];
  test.each([
    ["10.0.0.9", "blackhole 10.0.0.9"],
    ["10.0.0.5", "10.0.0.0/24 dev eth0"],
    ["10.0.0.7", "10.0.0.0/24 dev eth0"],
    ["10.0.0.1", "local 10.0.0.1 dev eth0 (table local)"],
    ["192.0.2.1", "default via 10.0.0.254 dev eth0"],
    ["fd00::5", "fd00::/64 dev eth0"],
    ["2001:db8::1", "default via fe80::1 dev eth0"],
  ])("to %s is %s", (to, expected) => {
    const answer = router(routes)({ to });
    expect(answer?.route && tellRoute(answer.route)).toBe(expected);
    expect(answer?.isCertain).toBe(true);
  });

  test("follows the policy rules in their order: by source, input device, and what they throw back", () => {
    const rules = [
      makePolicyRule(0, "local"),
      makePolicyRule(10, "100", { source: "10.1.0.0/16" }),
      makePolicyRule(20, null, { action: "prohibit", destination: "10.7.0.0/16", iif: "eth3" }),
      makePolicyRule(32_766, "main"),
    ];
    const route = router(routes, rules);
    expect(route({ to: "10.9.1.1", from: "10.1.2.3" })?.route?.dev).toBe("tun0");
    expect(route({ to: "10.9.1.1", from: "10.2.2.3" })?.route?.destination).toBe("default");
    const thrown = route({ to: "10.8.1.1", from: "10.1.2.3" });
    expect([thrown?.route?.destination, thrown?.thrown.map(tellRoute)]).toEqual([
      "default",
      ["throw 10.8.0.0/16 (table 100)"],
    ]);
    expect(route({ to: "10.7.0.1", iif: "eth3" })).toMatchObject({ route: null, refusal: { priority: 20 } });
    expect(route({ to: "10.7.0.1", iif: "eth4" })?.route?.destination).toBe("default");
  });

  test("is said to be uncertain where a rule asks for what a drop does not tell", () => {
    const rules = [makePolicyRule(5, "100", { fwmark: "0x1" }), makePolicyRule(10, "main")];
    expect(router(routes, rules)({ to: "10.9.1.1" })).toMatchObject({
      route: { destination: "default" },
      isCertain: false,
    });
    const suppress = [
      makePolicyRule(5, "main", { other: { suppress_prefixlen: "0" } }),
      makePolicyRule(9, "100"),
    ];
    expect(router(routes, suppress)({ to: "10.9.1.1" })).toMatchObject({
      route: { dev: "tun0" },
      isCertain: true,
    });
  });

  test("asks ports and protocol of a packet where a rule does", () => {
    const rules = [
      makePolicyRule(5, null, { action: "prohibit", other: { dport: "4444" } }),
      makePolicyRule(6, null, {
        action: "blackhole",
        other: { ipproto: "udp", sport_start: "10", sport_end: "20" },
      }),
      makePolicyRule(7, null, { action: "unreachable", fwmark: "0x1", source: "10.3.0.0/16" }),
      makePolicyRule(32_766, "main"),
    ];
    const ask = (fields: object) => router(routes, rules)({ to: "10.0.0.5", from: "10.1.0.1", ...fields });
    const packet = { proto: "udp", sourcePort: 9, destinationPort: 53 };
    expect(ask({ ...packet, destinationPort: 4444 })?.refusal?.priority).toBe(5);
    expect(ask({ ...packet, sourcePort: 15 })?.refusal?.priority).toBe(6);
    expect(ask({ ...packet, sourcePort: 15, proto: "tcp" })).toMatchObject({
      refusal: null,
      isCertain: true,
    });
    expect(ask(packet)).toMatchObject({ refusal: null, doubtful: [], isCertain: true });
    // Without ports (a fragment) it cannot be known; a mark never is, but another source is no.
    expect(ask({})?.doubtful.map(({ priority }) => priority)).toEqual([5, 6]);
    expect(ask({ ...packet, from: "10.3.1.1" })?.doubtful.map(({ priority }) => priority)).toEqual([7]);
    expect(rules.slice(0, 2).map(deletePolicyRule)).toEqual([
      "ip rule del dport 4444 priority 5 prohibit",
      "ip rule del ipproto udp sport 10-20 priority 6 blackhole",
    ]);
  });

  test("is unknown, not missing, where the routes were not read", () => {
    expect(createRouter(makeNetwork({ configuration: { routes: null } }))({ to: "10.0.0.1" })).toBeNull();
    expect(createRouter(null)({ to: "10.0.0.1" })).toBeNull();
    expect(router(routes)({ to: "nonsense" })).toBeNull();
    expect(router([])({ to: "10.0.0.1" })).toMatchObject({ route: null, refusal: null });
  });
});

test("commands that delete name the route or rule in full", () => {
  expect(deleteRoute(makeRoute("fd98::/64", { type: "blackhole", metric: 1024, table: "100" }))).toBe(
    "ip -6 route del blackhole fd98::/64 table 100 metric 1024",
  );
  expect(deleteRoute(makeRoute("10.0.0.0/8", { type: "prohibit", table: "a b;rm" }))).toBe(
    "ip route del prohibit 10.0.0.0/8 table 'a b;rm'",
  );
  const rule = makePolicyRule(7, null, {
    family: "ipv6",
    action: "unreachable",
    source: "fd00::/8",
    iif: "eth0",
    fwmark: "0x1/0xff",
  });
  expect(deletePolicyRule(rule)).toBe(
    "ip -6 rule del from fd00::/8 iif eth0 fwmark 0x1/0xff priority 7 unreachable",
  );
});
