import { describe, expect, it } from "vitest";
import { isRawNet, parseNet, type RawNet } from "../../../src/evidence/net/snapshot.ts";
import { AFTER, DEBIAN13, readRaw, readSnapshot } from "./fixtures.ts";

/** The recorded server namespace with other sections: null takes one away. */
function change(sections: { [name: string]: Partial<RawNet["sections"][string]> | null }): RawNet {
  const [raw] = readRaw(AFTER);
  if (raw === undefined) throw new Error("empty recording");
  const changed = { ...raw.sections };
  for (const [name, section] of Object.entries(sections)) {
    const old = changed[name] ?? { text: "", status: 0, message: "" };
    if (section === null) delete changed[name];
    else changed[name] = { ...old, ...section };
  }
  return { ...raw, sections: changed };
}

describe("a snapshot of a recording", () => {
  it.each([
    [AFTER, "evsrv"],
    [AFTER, "evcli"],
    [DEBIAN13, "a"],
  ])("of %s %s reads everything", (path, name) => {
    const snapshot = readSnapshot(path, name);
    expect(snapshot.unread).toEqual([]);
    expect(snapshot.missing).toEqual([]);
    expect(Object.values(snapshot.configuration ?? {})).not.toContain(null);
    expect(snapshot.configuration?.firewallRead).toEqual({ nft: true, iptablesNft: true, legacy: true });
  });

  it("survives JSON unchanged", () => {
    const snapshot = readSnapshot(AFTER, "evsrv");
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
  });

  it("lists rules of iptables-nft once, with handles from nft", () => {
    const rules = readSnapshot(AFTER, "evsrv").configuration?.firewall?.rules ?? [];
    const tables = rules.map((rule) => `${rule.tool} ${rule.backend} ${rule.family} ${rule.table}`);
    expect([...new Set(tables)]).toEqual([
      "iptables nft ip mangle",
      "iptables nft ip filter",
      "ip6tables nft ip6 filter",
      "iptables legacy ip filter",
      "nft nft inet t",
      "nft nft netdev nd",
    ]);
    for (const rule of rules) expect(rule.handle === null).toBe(rule.backend === "legacy");
  });

  it("says from which hooks a chain is reached, also through a map", () => {
    const firewall = readSnapshot(AFTER, "evsrv").configuration?.firewall;
    const hooks = (chain: string): unknown => firewall?.rules.find((rule) => rule.chain === chain)?.hooks;
    expect(hooks("SUB")).toEqual(["INPUT"]);
    expect(hooks("sub")).toEqual(["INPUT"]);
    expect(hooks("c")).toEqual(["INPUT"]);
    expect(hooks("FORWARD")).toEqual(["FORWARD"]);
  });

  it("gives a rule the verdicts and counts of the map and the counter that it names", () => {
    const rules = readSnapshot(AFTER, "evsrv").configuration?.firewall?.rules ?? [];
    expect(rules.find((rule) => rule.sets.includes("m"))?.verdicts).toEqual([
      { kind: "drop", target: null },
      { kind: "jump", target: "sub" },
    ]);
    expect(rules.find((rule) => rule.counterName === "cnt")).toMatchObject({ packets: 20, bytes: 4560 });
  });

  it("joins the receive buffer that ss knows to the sockets of /proc", () => {
    const sockets = readSnapshot(AFTER, "evsrv").counters.datagramSockets;
    expect(sockets).toContainEqual(
      expect.objectContaining({ localPort: 5000, receiveBuffer: 4608, drops: 17 }),
    );
    expect(sockets).toContainEqual(expect.objectContaining({ protocol: "raw", localPort: 89 }));
    expect(sockets).toContainEqual(expect.objectContaining({ local: "::", family: "ipv6", localPort: 5002 }));
  });
});

describe("what is missing", () => {
  it("costs its evidence only, and is said", () => {
    const snapshot = parseNet(
      change({ "tc qdisc": { status: 127, text: "" }, "ss tcp": { status: 1, text: "", message: "no" } }),
    );
    expect(snapshot.configuration).toMatchObject({ qdiscs: null, listeners: null });
    expect(snapshot.configuration?.links).not.toBeNull();
    expect(snapshot.missing).toEqual(
      [
        { what: "ss tcp", why: "no" },
        { what: "tc qdisc", why: "not installed" },
      ].toSorted((a, b) => b.what.localeCompare(a.what)),
    );
  });

  it("keeps what a tool printed before it was cut off, and knows nothing of the rest", () => {
    const [raw] = readRaw(AFTER);
    const text = raw?.sections["ip"]?.text ?? "";
    const snapshot = parseNet(
      change({ ip: { status: null, text: text.slice(0, -200), message: "no answer within 2 s" } }),
    );
    expect(snapshot.configuration?.links).not.toBeNull();
    expect(snapshot.configuration?.routes).toBeNull();
    expect(snapshot.missing).toEqual([{ what: "ip", why: "no answer within 2 s" }]);
  });

  it("names the tool that kept the others from being asked", () => {
    const cut = {
      "iptables-save": { status: null, message: "no answer within 2 s" },
      "ss tcp": null,
      "tc qdisc": null,
      ip: null,
    };
    const snapshot = parseNet(change(cut));
    expect(snapshot.configuration?.firewallRead.iptablesNft).toBe(true);
    expect(snapshot.missing).toContainEqual({
      what: "ip",
      why: "not asked, because iptables-save did not end",
    });
    expect(snapshot.configuration).toMatchObject({ links: null, policyRules: null, listeners: null });
  });

  it("falls back to /proc for listeners", () => {
    const line =
      "   0: 0100580A:1389 00000000:0000 0A 00000000:00000002 00:00000000 00000000   0 0 77 1 0 100 0 0 10 0\n";
    const snapshot = parseNet(change({ "ss tcp": { status: 127 }, "proc tcp": { status: 0, text: line } }));
    expect(snapshot.configuration?.listeners).toEqual([
      expect.objectContaining({ address: "10.88.0.1", port: 5001, queued: 2, backlog: null, inode: 77 }),
    ]);
  });

  it("leaves nft's view of iptables' rules when iptables-nft-save is missing", () => {
    const snapshot = parseNet(
      change({ "iptables-save": { status: 127, text: "" }, "ip6tables-save": { status: 127, text: "" } }),
    );
    const rules = snapshot.configuration?.firewall?.rules ?? [];
    expect(rules.filter((rule) => rule.family === "ip" && rule.tool === "nft").length).toBeGreaterThan(0);
    expect(rules.filter((rule) => rule.tool !== "nft").every((rule) => rule.backend === "legacy")).toBe(true);
    expect(snapshot.configuration?.firewallRead).toEqual({ nft: true, iptablesNft: true, legacy: true });
  });

  it("knows that legacy tables exist which the only iptables cannot list", () => {
    const [raw] = readRaw(AFTER);
    const twin = raw?.sections["iptables-save"]?.text ?? "";
    const snapshot = parseNet(change({ "iptables-legacy-save": { text: twin } }));
    expect(snapshot.configuration?.firewallRead.legacy).toBe(false);
    expect(snapshot.missing).toContainEqual(expect.objectContaining({ what: "iptables-legacy-save" }));
    const chains = snapshot.configuration?.firewall?.chains.map(
      (chain) => `${chain.tool} ${chain.table} ${chain.chain}`,
    );
    expect(new Set(chains).size).toBe(chains?.length);
  });

  it("takes handles only where both tools list as many rules", () => {
    const [raw] = readRaw(AFTER);
    const text = (raw?.sections["iptables-save"]?.text ?? "").replace("[0:0] -A SUB -j RETURN\n", "");
    const rules = parseNet(change({ "iptables-save": { text } })).configuration?.firewall?.rules ?? [];
    expect(rules.filter((rule) => rule.chain === "SUB").map((rule) => rule.handle)).toEqual([null]);
    expect(rules.find((rule) => rule.text.includes("--dport 1234"))?.handle).not.toBeNull();
  });

  it("is one reason where the namespace could not be entered at all", () => {
    const [raw] = readRaw(AFTER);
    if (raw === undefined) throw new Error("empty recording");
    const skipped = [{ what: "/proc/net", why: "nsenter: No such file" }];
    const snapshot = parseNet({ ...raw, sections: {}, skipped });
    expect(snapshot).toMatchObject({ configuration: null, missing: skipped, unread: [] });
    expect(snapshot.counters).toMatchObject({
      counters: null,
      devices: null,
      conntrack: null,
      datagramSockets: null,
    });
  });
});

describe("a recording", () => {
  it("is known by its shape", () => {
    for (const raw of readRaw(AFTER)) expect(isRawNet(raw)).toBe(true);
  });

  it.each([
    ["no object", null],
    ["another version", { version: 2 }],
    [
      "no sections",
      {
        version: 1,
        target: { inode: 1, name: null, path: null },
        takenAt: 1,
        seconds: 1,
        littleEndian: true,
      },
    ],
    ["a section without text", { ...readRaw(AFTER)[0], sections: { a: { status: 0, message: "" } } }],
    ["a reason without words", { ...readRaw(AFTER)[0], skipped: [{ what: 1 }] }],
  ])("is not %s", (_, value) => {
    expect(isRawNet(value)).toBe(false);
  });
});
