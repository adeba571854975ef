import { describe, expect, it } from "vitest";
import type { DropFact, Facts } from "../../../src/diagnose/facts.ts";
import type { Finding } from "../../../src/diagnose/finding.ts";
import type { Rule } from "../../../src/diagnose/rule.ts";
import { diagnoseRetransmits } from "../../../src/diagnose/rules/retrans/diagnose.ts";
import type { ResetFlow, RetransFlow } from "../../../src/diagnose/rules/retrans/facts.ts";
import { makeNetwork } from "../diagnose/support.ts";
import { tellSentAgain, tellTargets } from "../../../src/diagnose/rules/retrans/words.ts";

const NETNS = 4026532000;

function makeFacts(drops: readonly DropFact[] = []): Facts {
  return {
    seconds: 10,
    drops,
    hasReason: () => true,
    isFiltered: true,
    networks: [],
    places: new Map([
      [NETNS, { inode: NETNS, name: "web", kind: "named", path: "/run/netns/web", pid: null }],
    ]),
    owners: new Map(),
    kernelLog: [],
    describe: () => null,
  };
}

function makeFlow(fields: Partial<RetransFlow> = {}): RetransFlow {
  return {
    source: "10.0.0.1",
    sourcePort: 40000,
    destination: "10.0.0.2",
    destinationPort: 443,
    netns: NETNS,
    segments: 90,
    packets: 10,
    byKind: { fast: 90 },
    owner: { pid: 7, comm: "curl" },
    drops: [],
    unsent: [],
    ...fields,
  };
}

function makeDrop(fields: Partial<DropFact> = {}): DropFact {
  return {
    reason: "NETFILTER_DROP",
    location: "nft_do_chain",
    functions: [],
    hook: "INPUT",
    proto: "tcp",
    source: "10.0.0.1",
    sourcePort: 40000,
    destination: "10.0.0.2",
    destinationPort: 443,
    icmp: null,
    dev: "eth0",
    netns: NETNS,
    benign: false,
    count: 9,
    bytes: 13_500,
    ...fields,
  };
}

/** A rule of drops that explains all firewall drops. */
const firewall: Rule = {
  id: "netfilter-rule",
  examine(facts, ledger) {
    const drops = facts.drops.filter((drop) => drop.reason === "NETFILTER_DROP");
    ledger.claim(drops);
    const finding: Finding = {
      id: "netfilter-rule",
      severity: "problem",
      summary: "A rule drops.",
      count: drops.length,
      netns: { inode: NETNS, name: "web" },
      evidence: [],
      check: [],
      fix: [],
    };
    // What moved in counters alone is nothing that this diagnosis should repeat.
    return drops.length === 0 ? [{ ...finding, id: "silent" }] : [finding];
  },
};

const examine = (flows: RetransFlow[], resets: ResetFlow[] = [], rules: readonly Rule[] = [firewall]) =>
  diagnoseRetransmits({ facts: makeFacts(flows.flatMap((flow) => flow.drops)), flows, resets }, rules);

describe("closed windows", () => {
  const moved = (inode: number, name: string, deltas: Readonly<Record<string, number>>) =>
    makeNetwork({ inode, name, counters: deltas });

  it("tells a sender that only probes, and where on this machine the reader is", () => {
    const networks = [
      moved(NETNS, "web", { TcpExtTCPWinProbe: 4 }),
      moved(NETNS + 1, "db", { TcpExtTCPToZeroWindowAdv: 3, TcpExtTCPFromZeroWindowAdv: 2 }),
      moved(NETNS + 2, "idle", {
        TcpExtTCPToZeroWindowAdv: 2,
        TcpExtTCPFromZeroWindowAdv: 2,
        TcpExtTCPWinProbe: 1,
      }),
    ];
    const findings = diagnoseRetransmits({ facts: { ...makeFacts(), networks }, flows: [], resets: [] });
    expect(findings).toMatchObject([{ id: "retrans-zero-window", severity: "suspicious", count: 4 }]);
    expect(findings[0]?.evidence[1]).toMatch(/^windows closed in \S.* and not opened again: 1 time$/);
    expect(findings[0]?.evidence).toHaveLength(2);
    expect(findings[0]?.check[0]).toContain("ip netns exec web ss -tnop state established");
  });
});

describe("loss with nothing dropped here", () => {
  it("keeps far ends on this machine apart: only of the others it is the path", () => {
    const networks = [makeNetwork({ inode: NETNS + 1, name: "db", addresses: ["10.0.0.2"] })];
    const flows = [makeFlow(), makeFlow({ destination: "192.0.2.7", sourcePort: 40_001 })];
    const findings = diagnoseRetransmits({ facts: { ...makeFacts(), networks }, flows, resets: [] });
    expect(findings.map(({ summary }) => summary)).toEqual([
      'Segments from namespace "web" to 192.0.2.7:443 get lost beyond this host',
      'namespace "web" sends again to 10.0.0.2:443, which is on this machine, and nothing was seen to be dropped',
    ]);
  });
});

describe("words", () => {
  it("names the far end of a connection by the end that sends more", () => {
    const back = makeFlow({
      source: "10.0.0.2",
      sourcePort: 443,
      destination: "10.0.0.1",
      destinationPort: 40000,
      segments: 1,
    });
    expect(tellSentAgain([back, makeFlow()])).toBe(
      "91 segments of 1 connection to 10.0.0.2:443 were sent again",
    );
    expect(tellSentAgain([makeFlow({ segments: 1 })])).toBe(
      "1 segment of 1 connection to 10.0.0.2:443 was sent again",
    );
  });
});

describe("loss on this host", () => {
  it("is told by the rule behind it, with the connections that paid", () => {
    const findings = examine([makeFlow({ drops: [makeDrop()] })]);
    expect(findings.map(({ id }) => id)).toEqual(["netfilter-rule"]);
    expect(findings[0]?.evidence.join("\n")).toContain(
      "this host did it, not the network: 90 segments of 1 connection",
    );
    expect(findings[0]?.evidence.join("\n")).toContain("by curl (pid 7)");
  });

  it("is told with reason and place where no rule knows it", () => {
    const findings = examine([
      makeFlow({ drops: [makeDrop({ reason: "QDISC_DROP", location: "x", hook: null })] }),
    ]);
    expect(findings).toMatchObject([{ id: "retrans-local-drop", severity: "problem", count: 9 }]);
    expect(findings[0]?.summary).toContain("QDISC_DROP");
  });

  it("does not explain many more losses than drops, and benign drops explain nothing", () => {
    expect(examine([makeFlow({ drops: [makeDrop({ count: 1 })] })]).map(({ id }) => id)).toEqual([
      "retrans-path-loss",
    ]);
    expect(examine([makeFlow({ drops: [makeDrop({ benign: true })] })]).map(({ id }) => id)).toEqual([
      "retrans-path-loss",
    ]);
  });

  it("is not blamed on what a rule of drops only mentions", () => {
    const mention: Rule = {
      ...firewall,
      examine: (facts, ledger) =>
        firewall.examine(facts, ledger).map((finding) => ({ ...finding, severity: "info" })),
    };
    expect(examine([makeFlow({ drops: [makeDrop()] })], [], [mention]).map(({ id }) => id)).toEqual([
      "retrans-path-loss",
    ]);
  });

  it("leaves other connections to other causes", () => {
    const other = makeFlow({ destination: "10.9.9.9", sourcePort: 40001 });
    const findings = examine([makeFlow({ drops: [makeDrop()] }), other]);
    expect(findings.map(({ id }) => id).sort()).toEqual(["netfilter-rule", "retrans-path-loss"]);
    expect(findings.find(({ id }) => id === "retrans-path-loss")?.summary).toContain("10.9.9.9:443");
  });
});

describe("handshakes", () => {
  const syn = (destination: string, sourcePort: number) =>
    makeFlow({ destination, sourcePort, segments: 2, packets: 2, byKind: { syn: 2 } });

  it("names a peer that does not answer", () => {
    const [finding, ...rest] = examine([syn("10.0.0.9", 1), syn("10.0.0.9", 2)]);
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "retrans-no-answer", severity: "problem", count: 4 });
    expect(finding?.summary).toContain("10.0.0.9:443 does not answer");
    expect(finding?.check.every((command) => command.startsWith("ip netns exec web "))).toBe(true);
  });

  it("sees one port of many hosts as one story, few hosts each as its own", () => {
    const many = Array.from({ length: 6 }, (_, index) => syn(`10.0.1.${index}`, index));
    expect(examine(many).map(({ summary }) => summary)).toEqual([
      expect.stringContaining("port 443 of 6 hosts does not answer"),
    ]);
    expect(examine(many.slice(0, 2))).toHaveLength(2);
  });

  it("tells a client that does not complete", () => {
    const flow = makeFlow({ sourcePort: 443, destinationPort: 50000, segments: 3, byKind: { synack: 3 } });
    expect(examine([flow])).toMatchObject([{ id: "retrans-synack", count: 3 }]);
  });
});

describe("patterns", () => {
  const flow = (index: number, fields: Partial<RetransFlow> = {}) =>
    makeFlow({ sourcePort: 40000 + index, ...fields });

  it.each([
    ["one port of one host", (index: number) => flow(index)],
    ["go to one host, on 5 ports", (index: number) => flow(index, { destinationPort: 80 + index })],
    ["one port of 5 hosts", (index: number) => flow(index, { destination: `10.0.1.${index}` })],
    [
      "all from port 443 here to 5 hosts",
      (index: number) =>
        makeFlow({ sourcePort: 443, destination: `10.0.1.${index}`, destinationPort: 50_000 + index }),
    ],
    [
      "5 hosts have nothing in common but this one",
      (index: number) => flow(index, { destination: `10.0.1.${index}`, destinationPort: 80 + index }),
    ],
  ])("%s", (words, make) => {
    const [finding] = examine([0, 1, 2, 3, 4].map((index) => make(index)));
    expect(finding?.evidence.join("\n")).toContain(words);
  });

  it("needs more than three connections, and tells a host that stands out apart from the rest", () => {
    expect(examine([flow(1), flow(2)])[0]?.evidence.join("\n")).not.toContain("pattern");
    const findings = examine([
      flow(1, { segments: 900 }),
      flow(2, { destination: "10.0.0.3", segments: 20 }),
      flow(3, { destination: "10.0.0.4", segments: 20 }),
    ]);
    expect(findings.map(({ summary, count }) => [summary.includes("10.0.0.2:443"), count])).toEqual([
      [true, 900],
      [false, 40],
    ]);
  });

  it("counts a connection once when both ends send again", () => {
    const back = makeFlow({
      source: "10.0.0.2",
      sourcePort: 443,
      destination: "10.0.0.1",
      destinationPort: 40000,
    });
    const [finding] = examine([makeFlow({ drops: [makeDrop()] }), { ...back, drops: [makeDrop()] }]);
    expect(finding?.evidence.join("\n")).toContain("180 segments of 1 connection");
  });
});

describe("which way was lost", () => {
  it("says when only answers were", () => {
    const answer = makeDrop({
      source: "10.0.0.2",
      sourcePort: 443,
      destination: "10.0.0.1",
      destinationPort: 40000,
    });
    const evidence = (drops: DropFact[]) => examine([makeFlow({ drops })])[0]?.evidence.join("\n");
    expect(evidence([answer])).toContain("only answers (acknowledgements) were dropped");
    expect(evidence([answer, makeDrop()])).not.toContain("only answers");
  });
});

describe("resets", () => {
  const reset = (fields: Partial<ResetFlow>): ResetFlow => ({
    direction: "sent",
    reason: "TCP_STATE",
    state: "CLOSE",
    source: "10.0.0.1",
    sourcePort: 40000,
    destination: "10.0.0.2",
    destinationPort: 443,
    netns: NETNS,
    owner: { pid: 7, comm: "curl" },
    count: 6,
    ...fields,
  });

  it("names the program that throws connections away, with the kernel's reason", () => {
    expect(examine([], [reset({})])).toMatchObject([
      { id: "reset-abort", severity: "info", summary: expect.stringContaining("curl (pid 7)") as string },
    ]);
    expect(examine([], [reset({ reason: "TCP_ABORT_ON_MEMORY" })])).toMatchObject([{ severity: "problem" }]);
  });

  it("goes by the state where the kernel gives no reason, and takes no answer for an abort", () => {
    expect(examine([], [reset({ reason: null })])).toMatchObject([{ id: "reset-abort" }]);
    expect(examine([], [reset({ reason: null, state: "SYN_RECV" })])).toEqual([]);
    expect(examine([], [reset({ reason: "TCP_TIMEWAIT_SOCKET", state: "TIME_WAIT" })])).toEqual([]);
  });

  it("tells a refused connection once when both ends are here", () => {
    const attempt = reset({ direction: "received", reason: null, state: "SYN_SENT" });
    const answer = reset({
      reason: "NO_SOCKET",
      state: null,
      owner: null,
      source: "10.0.0.2",
      sourcePort: 443,
      destination: "10.0.0.1",
      destinationPort: 40000,
    });
    const findings = examine([], [attempt, answer]);
    expect(findings.map(({ id }) => id)).toEqual(["reset-closed-port"]);
    expect(findings[0]?.evidence.join("\n")).toContain("by curl (pid 7)");
    expect(examine([], [attempt]).map(({ id }) => id)).toEqual(["reset-refused"]);
  });

  it("knows who ended open connections", () => {
    const ended = reset({ direction: "received", reason: null, state: "ESTABLISHED" });
    expect(examine([], [ended])).toMatchObject([{ id: "reset-by-peer", severity: "info", count: 6 }]);
  });

  it("says that a silent host is alive when it resets other connections", () => {
    const silent = makeFlow({ segments: 2, packets: 2, byKind: { syn: 2 }, destinationPort: 444 });
    const other = reset({ direction: "received", reason: null, state: "SYN_SENT" });
    const finding = examine([silent], [other]).find(({ id }) => id === "retrans-no-answer");
    expect(finding?.evidence.join("\n")).toContain("that host is alive");
  });
});

describe("the rest", () => {
  it("says that a route went away", () => {
    const flow = makeFlow({ segments: 0, packets: 0, byKind: {}, unsent: [{ error: -113, count: 4 }] });
    expect(examine([flow])).toMatchObject([{ id: "retrans-no-route", severity: "problem", count: 4 }]);
  });

  it("takes a few segments for what any network loses", () => {
    expect(examine([makeFlow({ segments: 3, byKind: { rto: 3 } })])).toMatchObject([
      { id: "retrans-path-loss", severity: "info" },
    ]);
  });

  it("is silent without retransmits and with few resets", () => {
    const reset: ResetFlow = {
      direction: "sent",
      reason: "NO_SOCKET",
      state: null,
      source: "10.0.0.1",
      sourcePort: 81,
      destination: "10.0.0.2",
      destinationPort: 5000,
      netns: NETNS,
      owner: null,
      count: 4,
    };
    expect(examine([], [reset])).toEqual([]);
    expect(examine([], [reset, { ...reset, destinationPort: 5001 }])).toMatchObject([
      { id: "reset-closed-port", count: 8 },
    ]);
  });

  it("names the pattern of the far ends", () => {
    const flows = [makeFlow(), makeFlow({ destination: "10.0.0.3" })];
    expect(tellTargets(flows)).toBe("port 443 of 2 hosts");
    expect(tellTargets([makeFlow(), makeFlow({ destinationPort: 80 })])).toBe("10.0.0.2");
    expect(tellTargets([makeFlow({ destination: "fd00::1" })])).toBe("[fd00::1]:443");
  });
});
