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

describe("findings of a recording of Linux 6.1 on a machine too slow to list its listeners in time", () => {
  test("say what is known, claim nothing about listeners, and know the end of refused handshakes without a reason", async () => {
    const findings = await replay("transport-6.1");
    expect(findings).toMatchObject([
      { id: "udp-receive-buffer", severity: "problem", count: 289 },
      { id: "closed-port", severity: "problem", count: 200 },
      { id: "closed-port", severity: "problem", count: 50 },
      { id: "accept-queue", severity: "problem", count: 43 },
    ]);
    const [, , tcp, queue] = findings;
    expect(tcp?.evidence).toContain(
      "who listens in this namespace could not be read: no way in, no answer in time, or it is gone",
    );
    expect(queue?.summary).toContain("Connections to port 8083 overflow the accept queue");
    expect(queue?.evidence).toContain("10 events at the end of a handshake, from 10.83.245.1");
  });
});
