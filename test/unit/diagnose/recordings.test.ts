import { describe, expect, test } from "vitest";
import { runTrace } from "../../support/capture.ts";

interface Finding {
  readonly summary: string;
  readonly id: string;
  readonly severity: string;
  readonly count: number;
  readonly netns: { readonly name: string | null } | null;
  readonly evidence: readonly string[];
  readonly fix: readonly string[];
  readonly rule?: { readonly chain: string; readonly text: string; readonly packets: number | null };
}

/** The findings of a recording of a real kernel (fixtures/diagnose), through everything that a replay goes through. */
async function replay(name: string): Promise<Finding[]> {
  const file = new URL(`../../../fixtures/diagnose/${name}.trace.gz`, import.meta.url).pathname;
  const { code, stdout } = await runTrace("replay", file, "--no-profile", "--format", "json");
  expect(code).toBe(0);
  const summary = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { findings: Finding[] };
  return summary.findings;
}

describe("findings of recordings of Linux 6.18", () => {
  test("a listener with backlog 1, flooded: no event, one finding, from counters and the listener's own count", async () => {
    const [finding, ...rest] = await replay("accept-queue-6.18");
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({
      id: "accept-queue",
      severity: "problem",
      count: 54,
      netns: { name: "web" },
    });
    expect(finding?.evidence.join("\n")).toMatch(
      /listener 0\.0\.0\.0:8083 of perl \(pid \d+\): refused \+54, 2 waiting of 1/,
    );
  });

  test("SYNs beyond tcp_max_syn_backlog without cookies", async () => {
    expect(await replay("syn-queue-6.18")).toMatchObject([
      {
        id: "syn-queue",
        severity: "problem",
        count: 187,
        fix: [
          "ip netns exec web sysctl -w net.ipv4.tcp_syncookies=1",
          "ip netns exec web sysctl -w net.ipv4.tcp_max_syn_backlog=4096",
        ],
      },
    ]);
  });

  test("a UDP receiver that does not read", async () => {
    const [finding, ...rest] = await replay("udp-buffer-6.18");
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "udp-receive-buffer", severity: "problem", count: 291 });
    expect(finding?.evidence[0]).toMatch(
      /^socket 0\.0\.0\.0:5400 of perl \(pid \d+\): drops \+291, 7,488 of 8,192 bytes/,
    );
  });

  test("connections to a port on which something listens on 127.0.0.1 only", async () => {
    const [finding, ...rest] = await replay("closed-port-6.18");
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ id: "closed-port", severity: "problem", count: 50 });
    expect(finding?.evidence.join("\n")).toContain(
      "listens on 127.0.0.1:8082, which only this namespace itself can reach",
    );
  });

  test("a thousand short HTTP connections, half of them with segments in TIME-WAIT: nothing to say", async () => {
    expect(await replay("healthy-http-6.18")).toEqual([]);
  });
});

describe("firewalls of recordings of Linux 6.18", () => {
  const short = (findings: readonly Finding[]) =>
    findings
      .filter(({ id }) => id.startsWith("netfilter"))
      .map(
        ({ severity, count, rule }) =>
          `${severity} ${count} ${rule?.chain}: ${rule?.text} (${rule?.packets})`,
      );

  test("firewalld, which does not count: of what matches, the rule that is asked first", async () => {
    expect(short(await replay("firewalld-6.18"))).toEqual([
      "suspicious 47 filter_INPUT: reject with icmpx admin-prohibited (null)",
      "suspicious 5 filter_IN_public_deny: ip saddr 10.0.0.0/8 udp dport 5002 drop (null)",
    ]);
  });

  test("sets, quotas, limits and named counters: each rule with its own packets", async () => {
    const findings = await replay("nft-sets-6.18");
    expect(short(findings)).toEqual([
      "problem 17 in: udp dport 5011 quota over 300 bytes counter drop (17)",
      "problem 11 in: udp dport 5006 update @meter1 { ip saddr limit rate over 1/hour } counter drop (11)",
      'problem 9 in: udp dport 5009 counter name "own" drop (9)',
      'problem 8 in: udp dport 5008 counter name "shared" drop (15)',
      'problem 7 in: udp dport 5007 counter name "shared" drop (15)',
      "problem 5 in: udp dport 5005 add @dyn { ip saddr } counter drop (5)",
      "problem 3 in: udp dport @plain counter drop (3)",
      "problem 3 in: udp dport @counted drop (3)",
      'suspicious 16 in: udp dport 5010 quota name "q" drop (null)',
    ]);
    expect(findings.find(({ rule }) => rule?.text.includes("@counted"))?.fix).toEqual([
      "ip netns exec web nft delete element inet s counted '{ 5003 }'",
    ]);
  });

  test("a ruleset replaced during the run: one finding a rule, with what the old one dropped", async () => {
    expect(short(await replay("nft-reload-6.18"))).toEqual([
      "problem 20 in: udp dport 5001 counter drop (5)",
      "problem 7 in: udp dport 5002 counter drop (7)",
    ]);
  });
});

describe("findings of a recording of Linux 6.1 on a machine too slow to list its listeners in time", () => {
  test("say what is known, claim nothing about listeners, and know the end of refused handshakes without a reason", async () => {
    const findings = await replay("transport-6.1");
    expect(findings).toMatchObject([
      { id: "udp-receive-buffer", severity: "problem", count: 289 },
      { id: "accept-queue", severity: "problem", count: 43 },
      { id: "closed-port", severity: "problem", count: 200 },
      { id: "closed-port", severity: "problem", count: 50 },
    ]);
    const [, queue, , tcp] = findings;
    expect(tcp?.evidence).toContain(
      "who listens in this namespace could not be read: no way in, no answer in time, or it is gone",
    );
    expect(queue?.summary).toContain("Connections to port 8083 overflow the accept queue");
    expect(queue?.evidence).toContain("10 events at the end of a handshake, from 10.83.245.1");
  });
});
