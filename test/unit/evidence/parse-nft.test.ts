import { describe, expect, it } from "vitest";
import { parseNft } from "../../../src/evidence/net/parse/nft.ts";
import { NO_TEXTS, parseNftTexts } from "../../../src/evidence/net/parse/nft-text.ts";
import type { FirewallRule } from "../../../src/evidence/net/types.ts";
import { AFTER, DEBIAN13, readSection } from "./fixtures.ts";

function parseRecording(path: string, name: string) {
  const texts = parseNftTexts(readSection(path, name, "nft -a"));
  const { value, unread } = parseNft(readSection(path, name, "nft -j"), texts);
  expect(unread).toBe(0);
  if (value === null) throw new Error("not a ruleset");
  return value;
}

/** One rule with the given expressions. */
function parseRule(...expr: unknown[]): FirewallRule | undefined {
  const rule = { family: "inet", table: "t", chain: "c", handle: 4, expr };
  return parseNft(JSON.stringify({ nftables: [{ rule }] }), NO_TEXTS).value?.rules[0];
}

describe.each([
  ["nft 1.0.6", AFTER, "evsrv"],
  ["nft 1.1.3", DEBIAN13, "a"],
])("a recording of %s", (_, path, name) => {
  const ruleset = parseRecording(path, name);

  it("gives every rule the text that nft prints, without counts", () => {
    for (const rule of ruleset.rules) {
      expect(rule.text).not.toMatch(/^[[{]|packets \d/);
      expect(rule.handle).not.toBeNull();
    }
  });

  it("knows the devices of netdev chains", () => {
    const chains = ruleset.chains.filter((chain) => chain.family === "netdev");
    expect(chains.length).toBeGreaterThan(0);
    for (const chain of chains) expect(chain.devices.length).toBeGreaterThan(0);
  });
});

it("reads counters, verdicts, chance and sets of the recorded rules", () => {
  const { rules } = parseRecording(AFTER, "evsrv");
  const find = (text: string): FirewallRule | undefined => rules.find((rule) => rule.text.includes(text));
  expect(find("dport 1237")).toMatchObject({
    packets: 20,
    hasCounter: true,
    verdicts: [{ kind: "drop" }],
    hook: "INPUT",
  });
  expect(find("dport 1238")).toMatchObject({
    packets: null,
    hasCounter: false,
    verdicts: [{ kind: "drop" }],
  });
  expect(find("dport 9 counter name")).toMatchObject({ counterName: "cnt", hasCounter: true });
  expect(find("dport 1241")).toMatchObject({ probability: 0.3 });
  expect(find("dport 1243")).toMatchObject({ every: 3, probability: null });
  expect(find("dport 1244")).toMatchObject({ probability: 0.5 });
  expect(find("dport 1242")).toMatchObject({ sets: ["s"] });
  expect(find("vmap @m")).toMatchObject({ sets: ["m"], verdicts: [] });
  expect(find("vmap { 1")?.verdicts).toEqual([
    { kind: "drop", target: "1" },
    { kind: "accept", target: "2" },
    { kind: "goto", target: "sub" },
  ]);
  expect(find("reject with tcp reset")).toMatchObject({
    chain: "sub",
    hook: null,
    verdicts: [{ kind: "reject" }],
  });
  expect(find("dport 1245")).toMatchObject({ family: "netdev", hook: "INGRESS" });
});

it("reads sets, maps and named counters", () => {
  const { sets, counters } = parseRecording(AFTER, "evsrv");
  expect(counters).toEqual([{ family: "inet", table: "t", name: "cnt", packets: 20, bytes: 4560 }]);
  expect(sets.find((set) => set.name === "m")).toMatchObject({
    isMap: true,
    size: 3,
    elements: expect.arrayContaining([
      { key: "82", verdict: { kind: "jump", target: "sub" }, packets: null },
    ]),
  });
  expect(sets.find((set) => set.name === "s")?.elements).toContainEqual({
    key: "10.88.0.2-10.88.0.9",
    verdict: null,
    packets: 20,
  });
});

it("keeps a comment that looks like a handle", () => {
  const { rules } = parseRecording(AFTER, "evsrv");
  expect(rules.map((rule) => rule.text)).toContain('udp dport 1237 counter drop comment "pct  x # handle 9"');
});

describe("chance", () => {
  const random = { numgen: { mode: "random", mod: 10, offset: 0 } };
  it.each([
    ["<", 3, 0.3],
    ["<=", 3, 0.4],
    [">", 3, 0.6],
    [">=", 3, 0.7],
    ["==", 3, 0.1],
    ["!=", 3, 0.9],
    ["==", { range: [2, 4] }, 0.3],
  ])("numgen random mod 10 %s %j is %d", (op, right, share) => {
    expect(parseRule({ match: { op, left: random, right } })?.probability).toBeCloseTo(share, 9);
  });

  it("is the share of dropped values of a verdict map", () => {
    const set = [
      [{ range: [0, 2] }, { drop: null }],
      [3, { reject: null }],
      [{ range: [4, 9] }, { accept: null }],
    ];
    expect(parseRule({ vmap: { key: random, data: { set } } })?.probability).toBeCloseTo(0.4, 9);
  });

  it("sees through the mask of a translated statistic match", () => {
    const left = { "&": [{ meta: { key: "random" } }, 2_147_483_647] };
    expect(parseRule({ match: { op: "<", left, right: 644_245_094 } })?.probability).toBeCloseTo(0.3, 6);
  });

  it("is no chance to compare a port", () => {
    const left = { payload: { protocol: "tcp", field: "dport" } };
    expect(parseRule({ match: { op: "==", left, right: 80 } })).toMatchObject({
      probability: null,
      every: null,
    });
  });
});

it("reads iptables' targets that nft does not know", () => {
  expect(parseRule({ xt: { type: "target", name: "REJECT" } })?.verdicts).toEqual([
    { kind: "reject", target: null },
  ]);
  expect(parseRule({ xt: { type: "target", name: "TARPIT" } })?.verdicts).toEqual([
    { kind: "other", target: "TARPIT" },
  ]);
  expect(parseRule({ xt: { type: "match", name: "statistic" } })?.verdicts).toEqual([]);
});

it("shows the JSON of a rule whose text could not be read", () => {
  expect(parseRule({ drop: null })?.text).toBe('[{"drop":null}]');
});

it("is null for anything but a ruleset, and counts odd objects", () => {
  expect(parseNft("", NO_TEXTS)).toEqual({ value: null, unread: 1 });
  expect(parseNft('{"nftables": 3}', NO_TEXTS)).toEqual({ value: null, unread: 1 });
  expect(
    parseNft('{"nftables": [3, {"rule": {"family": "ip", "table": "t"}}, {"new": {}}]}', NO_TEXTS).unread,
  ).toBe(3);
});
