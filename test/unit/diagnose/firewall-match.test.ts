import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DropFact } from "../../../src/diagnose/facts.ts";
import { createAssignment } from "../../../src/diagnose/rules/firewall/assignment.ts";
import { judge, makeCondition, makeSubject } from "../../../src/diagnose/rules/firewall/match/condition.ts";
import { readIptables } from "../../../src/diagnose/rules/firewall/match/iptables.ts";
import { droppingKeys, readNft } from "../../../src/diagnose/rules/firewall/match/nft.ts";
import { makeDrop } from "./support.ts";

const drop = makeDrop({
  reason: "NETFILTER_DROP",
  hook: "INPUT",
  proto: "udp",
  source: "10.0.0.9",
  sourcePort: 40_000,
  destination: "10.0.0.2",
  destinationPort: 53,
  dev: "eth0",
});
const drop6: DropFact = {
  ...drop,
  source: "fd00::9",
  destination: "fd00::2",
  proto: "tcp",
  destinationPort: 443,
};

describe("a rule as iptables-save prints it", () => {
  const ask = (text: string, packet = drop) => judge(readIptables(`-A INPUT ${text}`), makeSubject(packet));

  test.each([
    ["-j DROP", "yes"],
    ["-p udp -m udp --dport 53 -j DROP", "yes"],
    ["-s 10.0.0.0/24 -d 10.0.0.2/32 -i eth0 -p udp -m udp --sport 1024:65535 --dport 53 -j DROP", "yes"],
    ['-i eth+ -p udp -m multiport --dports 22,50:60 -m comment --comment "-p tcp" -j DROP', "yes"],
    ["! -s 10.0.0.9/32 -j DROP", "no"],
    ["! -s 10.1.0.0/16 -j DROP", "yes"],
    ["-s 10.0.0.0/255.255.255.0 -j DROP", "yes"],
    ["-s 10.0.0.0/255.0.255.0 -j DROP", "maybe"],
    ["-p tcp -m tcp --dport 53 -j DROP", "no"],
    ["-p udp -m udp --dport 54 -j DROP", "no"],
    ["-p udp -m udp ! --dport 53 -j DROP", "no"],
    ["-p 17 -j DROP", "yes"],
    ["-i eth1 -j DROP", "no"],
    ["-o eth1 -j DROP", "maybe"],
    ["-m statistic --mode random --probability 0.30 -j DROP", "maybe"],
    ["-m conntrack --ctstate NEW -p udp -m udp --dport 53 -j DROP", "maybe"],
    ["-p udp -m set --match-set block src -j DROP", "maybe"],
    ["-j REJECT --reject-with icmp-port-unreachable -p tcp", "yes"],
  ])("%s: %s", (text, verdict) => {
    expect(ask(text)).toBe(verdict);
  });

  test("IPv6", () => {
    expect(ask("-s fd00::/64 -p tcp -m tcp --dport 443 -j DROP", drop6)).toBe("yes");
    expect(ask("-s fd01::/64 -j DROP", drop6)).toBe("no");
    expect(ask("-s 10.0.0.0/8 -j DROP", drop6)).toBe("no");
  });

  test("what a record does not know decides nothing", () => {
    const fragment = { ...drop, sourcePort: null, destinationPort: null };
    expect(ask("-p udp -m udp --dport 54 -j DROP", fragment)).toBe("maybe");
    expect(ask("-s 10.9.9.9/32 -j DROP", { ...drop, source: null })).toBe("maybe");
    const bridged = { ...drop, functions: ["br_handle_frame"] };
    expect(ask("-i br0 -j DROP", bridged)).toBe("maybe");
  });
});

describe("a rule as nft prints it", () => {
  const ask = (text: string, packet = drop, keys: readonly string[] | null = null) =>
    judge(
      readNft(
        text,
        droppingKeys(() => keys),
      ),
      makeSubject(packet),
    );

  test.each([
    ["drop", "yes"],
    ["udp dport 53 counter drop", "yes"],
    ['udp dport 53 counter name "dns" drop comment "tcp dport 1"', "yes"],
    ["udp dport { 22, 50-60 } drop", "yes"],
    ["udp dport != 53 drop", "no"],
    ["udp dport { 22, 54-60 } drop", "no"],
    ["tcp dport 53 drop", "no"],
    ["meta l4proto { tcp, udp } ip saddr 10.0.0.0/8 drop", "yes"],
    ["ip saddr 10.0.0.1-10.0.0.8 drop", "no"],
    ["ip saddr @blocked drop", "maybe"],
    ['iifname "eth0" udp dport 53 log prefix "tcp dport 1 drop" level debug drop', "yes"],
    ['iifname { "eth1", "eth2" } drop', "no"],
    ["udp dport vmap { 53 : drop, 54 : accept }", "yes"],
    ["udp dport vmap { 53 : accept, 54 : drop }", "no"],
    ["udp dport vmap { 53 counter packets 1 bytes 2 : drop, 54 : accept }", "yes"],
    ["ip saddr . udp dport { 10.0.0.1 . 54 } drop", "no"],
    ["ip saddr . udp dport { 10.0.0.9 . 53 } drop", "yes"],
    ["ip saddr . udp dport { 10.0.0.9 . 53, 10.0.0.8 . 54 } drop", "maybe"],
    ["ip saddr . udp dport { 10.0.0.1 . 53, 10.0.0.8 . 54 } drop", "no"],
    ["ip saddr . udp dport != { 10.0.0.1 . 53 } drop", "maybe"],
    ["ip saddr . meta mark { 10.0.0.9 . 0x1 } drop", "maybe"],
    ["ip saddr . udp dport vmap { 10.0.0.9 . 53 : drop, 10.0.0.9 . 54 : accept }", "yes"],
    ["ip saddr . udp dport vmap { 10.0.0.9 . 53 : accept, 10.0.0.9 . 54 : drop }", "no"],
    ["udp dport > 100 drop", "maybe"],
    ["ct state invalid drop", "maybe"],
    ["tcp flags syn drop", "no"],
    ["icmp type echo-request drop", "no"],
    ["meta random < 100 udp dport 53 drop", "maybe"],
    ["udp dport 53 reject with icmp port-unreachable", "yes"],
    ["th dport 53 drop", "yes"],
  ])("%s: %s", (text, verdict) => {
    expect(ask(text)).toBe(verdict);
  });

  test("a named verdict map asks for the keys that drop", () => {
    expect(ask("ip saddr vmap @m", drop, ["10.0.0.9"])).toBe("yes");
    expect(ask("ip saddr vmap @m", drop, ["10.0.0.0/29"])).toBe("no");
    expect(ask("ip saddr vmap @m", drop, null)).toBe("maybe");
  });

  test("IPv6", () => {
    expect(ask("ip6 saddr fd00::/64 tcp dport 443 drop", drop6)).toBe("yes");
    expect(ask("ip6 saddr != fd00::/64 drop", drop6)).toBe("no");
  });
});

test("no text makes a reader throw, and whatever is read can be judged", () => {
  const word = fc.oneof(
    fc.constantFrom(
      "ip",
      "saddr",
      "!=",
      "{",
      "}",
      ",",
      "vmap",
      "@m",
      ":",
      ".",
      "!",
      "-s",
      "-p",
      "--dport",
      "-m",
      "-j",
    ),
    fc.constantFrom(
      "udp",
      "dport",
      "counter",
      "name",
      "log",
      "drop",
      "10.0.0.0/99",
      "::/200",
      "9-1",
      "1.2.3.4-1.1.1.1",
      '"',
    ),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const text = words.join(" ");
      expect(["yes", "maybe", "no"]).toContain(judge(readIptables(text), makeSubject(drop)));
      expect(["yes", "maybe", "no"]).toContain(
        judge(
          readNft(
            text,
            droppingKeys(() => null),
          ),
          makeSubject(drop),
        ),
      );
    }),
  );
});

test("a negated condition is met exactly where the plain one is not", () => {
  const address = fc.ipV4();
  fc.assert(
    fc.property(address, fc.nat(32), address, (base, prefix, source) => {
      const packet = { ...drop, source };
      const ask = (negated: boolean) =>
        judge(
          { conditions: [makeCondition("source", [`${base}/${prefix}`], negated)], isComplete: true },
          makeSubject(packet),
        );
      expect(new Set([ask(true), ask(false)])).toEqual(new Set(["yes", "no"]));
    }),
  );
});

describe("sharing drops out among counters", () => {
  const instances = fc
    .tuple(
      fc.array(fc.nat(20), { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat(20), { minLength: 1, maxLength: 5 }),
    )
    .chain(([groups, counters]) =>
      fc.record({
        groups: fc.constant(groups),
        counters: fc.constant(counters),
        pairs: fc.array(fc.tuple(fc.nat(groups.length - 1), fc.nat(counters.length - 1))),
        late: fc.array(fc.tuple(fc.nat(groups.length - 1), fc.nat(counters.length - 1))),
      }),
    );

  test("explains the most that is possible, and never more than was dropped or counted", () => {
    fc.assert(
      fc.property(instances, ({ groups, counters, pairs, late }) => {
        const assignment = createAssignment(groups, counters);
        for (const [group, counter] of pairs) assignment.allow(group, counter);
        assignment.solve();
        for (const [group, counter] of late) assignment.allow(group, counter);
        assignment.solve();
        const all = [...pairs, ...late];
        const explained = groups.reduce((sum, count, group) => sum + count - assignment.open(group), 0);
        expect(explained).toBe(mostPossible(groups, counters, all));
        for (const [group, count] of groups.entries()) {
          const shares = counters.map((_, counter) => assignment.assigned(group, counter));
          expect(shares.reduce((sum, share) => sum + share, 0)).toBe(count - assignment.open(group));
          for (const [counter, share] of shares.entries()) {
            expect(share).toBeGreaterThanOrEqual(0);
            if (share > 0) expect(all).toContainEqual([group, counter]);
          }
        }
        for (const [counter, count] of counters.entries()) {
          const used = groups.reduce((sum, _, group) => sum + assignment.assigned(group, counter), 0);
          expect(used).toBe(count - assignment.unused(counter));
          expect(assignment.unused(counter)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  test("pairs that were allowed first are used first", () => {
    const assignment = createAssignment([5], [5, 5]);
    assignment.allow(0, 1);
    assignment.solve();
    assignment.allow(0, 0);
    assignment.solve();
    expect([assignment.assigned(0, 0), assignment.assigned(0, 1)]).toEqual([0, 5]);
  });

  /** The smallest cut (Ford and Fulkerson): over all sets of groups, what they cannot hand on plus what the others have. */
  function mostPossible(
    groups: readonly number[],
    counters: readonly number[],
    pairs: readonly (readonly [number, number])[],
  ) {
    let least = Infinity;
    for (let set = 0; set < 2 ** groups.length; set += 1) {
      const isIn = (group: number) => ((set >> group) & 1) === 1;
      const reached = new Set(pairs.filter(([group]) => isIn(group)).map(([, counter]) => counter));
      const outside = groups.reduce((sum, count, group) => sum + (isIn(group) ? 0 : count), 0);
      const inside = counters.reduce((sum, count, counter) => sum + (reached.has(counter) ? count : 0), 0);
      least = Math.min(least, outside + inside);
    }
    return least;
  }
});
