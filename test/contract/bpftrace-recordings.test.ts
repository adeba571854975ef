import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { noticesOf, replay, type Row } from "../support/recording.ts";

// Recordings of `npm run matrix` with other versions of bpftrace on one kernel (6.18 without kprobes): each dialect from its first
// line to the report. The figures are those that the kernel counted beside. The other probes: fixtures/vm.
const path = (version: string, probe: string) =>
  join(import.meta.dirname, "..", "..", "fixtures", "bpftrace", version, `${probe}.trace.gz`);

test.each([
  { version: "0.11.3", total: 275 },
  { version: "0.17.0", total: 129 },
  { version: "0.23.2", total: 152 },
  { version: "0.27.0", total: 288 },
])("profile of one busy program with $version: its samples and its functions", async ({ version, total }) => {
  const { records, summary } = await replay(path(version, "profile"), "profile");
  expect(records[0]).toMatchObject({ type: "session", bpftrace: version });
  expect(summary["samples"]).toEqual({ total, idle: 0, kernel: 1, user: total - 1, kernelThreads: 0 });
  expect(summary).toMatchObject({ lost: 0, lostStacks: { kernel: 0, user: 0 } });
  expect(summary["processes"]).toMatchObject([{ comm: "spinner", exe: "perl", samples: total }]);
  const frames = (summary["top"] as Row[]).map((row) => String(row["frame"]));
  expect(frames).toContain("Perl_runops_standard");
  expect(noticesOf(records)).toEqual(
    version === "0.11.3"
      ? [expect.stringContaining("without kernel type information"), expect.stringContaining("before 0.21")]
      : [],
  );
});

test.each([
  { version: "0.11.3", samples: 8, lost: 2, devices: 0 },
  { version: "0.17.0", samples: 6, lost: 0, devices: 1 },
  { version: "0.23.2", samples: 8, lost: 0, devices: 1 },
  { version: "0.27.0", samples: 6, lost: 0, devices: 1 },
])("kthreads with $version: threads, softirqs by vector, jobs by function", async (wanted) => {
  const { records, summary } = await replay(path(wanted.version, "kthreads"), "kthreads");
  expect(records[0]).toMatchObject({ type: "session", bpftrace: wanted.version });
  expect(summary["samples"]).toMatchObject({
    total: wanted.samples,
    kernelThreads: wanted.samples,
    user: 0,
  });
  expect(summary["lost"]).toBe(wanted.lost);
  const { softirqs, devices, functions } = summary["work"];
  expect(softirqs.map(({ vector }: Row) => vector as string)).toEqual(
    expect.arrayContaining(["NET_RX", "RCU", "SCHED", "TIMER"]),
  );
  // Packets of the test itself: NET_RX outside of ksoftirqd.
  const received = softirqs.filter(({ vector }: Row) => vector === "NET_RX");
  expect(received.reduce((sum: number, row: Row) => sum + Number(row["outside"].count), 0)).toBeGreaterThan(
    1000,
  );
  expect(devices).toHaveLength(wanted.devices);
  expect(functions.length).toBeGreaterThan(5);
  const names = (summary["threads"] as Row[]).map(({ comm }) => String(comm));
  expect(names).toEqual(expect.arrayContaining(["rcu_preempt", "ksoftirqd/0", "ksoftirqd/1"]));
});

describe("retrans with 0.11.3, where the program has no kernel types", () => {
  test("connections by the event's own addresses, segments by the kernel's own count", async () => {
    const { records, summary } = await replay(path("0.11.3", "retrans"), "retrans");
    // TcpRetransSegs of the sending namespace said 198.
    expect(summary["retransmits"]).toMatchObject({ events: 62, segments: 198, byKind: { other: null } });
    const flows = summary["flows"] as Row[];
    expect(flows.map(({ state, count }) => [state, count])).toEqual([
      ["ESTABLISHED", 39],
      ["FIN_WAIT1", 23],
    ]);
    for (const flow of flows) {
      expect(flow).toMatchObject({
        source: "10.7.0.1",
        destination: "10.7.0.2",
        destinationPort: 5001,
        family: "ipv4",
        netns: null,
        segments: null,
      });
    }
    // Nobody looked for local drops: no conclusion.
    expect(summary["findings"]).toEqual([]);
    expect(noticesOf(records)).toEqual([
      expect.stringContaining("no namespaces, kinds and causes"),
      "ethtool is not installed: its evidence is missing; trace doctor names the package",
      // A namespace of somebody else that was gone by then.
      expect.stringMatching(/^rules and settings of namespace \d+ could not be read: nsenter: cannot open/),
    ]);
  });
});
