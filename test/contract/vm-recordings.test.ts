import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { runTrace } from "../support/capture.ts";
import { noticesOf as notices, replay as replayRecording, type Row } from "../support/recording.ts";
import { withoutKernelLog } from "../support/without-log.ts";

// Recordings of other kernels, made in virtual machines with known faults (test/matrix/guest.sh has their like). The figures
// are those that the kernel and the rules counted at the time, beside trace.
const MIB = 1024 ** 2;
const FOLDER = join(import.meta.dirname, "..", "..", "fixtures", "vm");

/** Replays a recording of that kernel: PROBE, or PROBE-WHAT. */
const replay = (kernel: string, name: string) =>
  replayRecording(join(FOLDER, kernel, `${name}.trace.gz`), name.replace(/-.*/, ""));

const findings = (summary: Row) => summary["findings"] as Row[];
const counted = (summary: Row, id: string) =>
  findings(summary)
    .filter((finding) => finding["id"] === id)
    .map((finding) => Number(finding["count"]));

describe("drops: 500 to a closed port, 300 by nftables, 200 by iptables, 20 refused connections", () => {
  test("5.10 with bpftrace 0.11: by call site, and what is missing is said", async () => {
    const { records, summary } = await replay("5.10", "drops");
    expect(summary["drops"].byReason).toEqual({
      "@nf_hook_slow": 503,
      "@__udp4_lib_rcv": 500,
      "@tcp_v4_rcv": 20,
      "@skb_queue_purge": 1,
    });
    // 3 of a TCP rule beside.
    expect(counted(summary, "netfilter-rule")).toEqual([300, 200, 3]);
    const rule = findings(summary).find((finding) => finding["count"] === 300);
    expect(rule?.["evidence"].join(" ")).toContain("that is all 503 drops in nf_hook_slow that were seen");
    expect(notices(records)).toEqual([
      expect.stringContaining("no kernel types (BTF) with this bpftrace"),
      expect.stringContaining("this kernel does not say why it drops (Linux before 5.17)"),
    ]);
    for (const flow of summary["flows"])
      expect(flow).toMatchObject({ reason: null, source: null, netns: null });
  });

  test("5.10 with bpftrace 0.23: by call site, with the kernel's types", async () => {
    const { records, summary } = await replay("5.10", "drops-0.23");
    // No refused connections here. The rest are netlink's own.
    expect(summary["drops"]).toMatchObject({
      total: 1003,
      benign: 3,
      byReason: { "@__udp4_lib_rcv": 500, "@nf_hook_slow": 500 },
    });
    expect(counted(summary, "netfilter-rule")).toEqual([300, 200]);
    expect(counted(summary, "closed-port")).toEqual([500]);
    expect(notices(records)).toEqual([
      expect.stringContaining("this kernel does not say why it drops (Linux before 5.17)"),
    ]);
    const closed = summary["flows"].find((flow: Row) => flow["destinationPort"] === 9999);
    expect(closed).toMatchObject({ source: "10.7.0.1", count: 500, netns: { name: "m126-b" } });
  });

  test("6.1 with bpftrace 0.17: reasons by the running kernel's numbers", async () => {
    const { records, summary } = await replay("6.1", "drops");
    // The rule of nftables was missing here: its 300 found nobody listening, and so did a connection.
    expect(summary["drops"].byReason).toEqual({ NOT_SPECIFIED: 2, NO_SOCKET: 821, NETFILTER_DROP: 200 });
    expect(counted(summary, "netfilter-rule")).toEqual([200]);
    expect(counted(summary, "closed-port")).toEqual([500, 300, 20, 1]);
    expect(notices(records)).toEqual([]);
  });

  test.each([
    { kernel: "6.12", purged: 1, where: "__udp4_lib_rcv", told: [] },
    // This machine was emulated, and slow.
    {
      kernel: "7.2",
      purged: 2,
      where: "udp_rcv",
      told: ["ip of namespaces host, b could not be read in full: no answer within 2 s"],
    },
  ])("$kernel: every rule by its own count", async ({ kernel, purged, where, told }) => {
    const { records, summary } = await replay(kernel, "drops");
    expect(summary["drops"].byReason).toEqual({ QUEUE_PURGE: purged, NO_SOCKET: 520, NETFILTER_DROP: 504 });
    expect(counted(summary, "netfilter-rule")).toEqual([300, 200, 4]);
    expect(counted(summary, "closed-port")).toEqual([500, 20]);
    const closed = summary["flows"].find((flow: Row) => flow["destinationPort"] === 9999);
    expect(closed).toMatchObject({ location: where, count: 500, netns: { name: "b" } });
    expect(notices(records)).toEqual(told);
  });
});

describe("oom: a limit, a group that dies together, a parent's limit", () => {
  test.each(["5.10", "6.1", "6.12", "7.2"])("%s", async (kernel) => {
    const { records, summary } = await replay(kernel, "oom");
    expect(summary["kills"]).toBe(5);
    expect(summary["byCgroup"]).toEqual({ "/grp": 3, "/job": 1, "/par": 1 });
    const kills = records.filter(({ type }) => type === "oom");
    // Whose limit it was: the kprobe tells it for members of a group, for which the kernel's log has no line of its own.
    for (const kill of kills) {
      expect(kill["scope"]).toMatchObject({ kind: "memcg", limitBytes: 40 * 1024 ** 2 });
      expect(kill["victim"].anonRssBytes).toBeGreaterThanOrEqual(0);
      expect(kill["stack"].join(" ")).toContain("oom_kill_process");
    }
    expect(new Set(kills.map((kill) => kill["victim"].pid)).size).toBe(5);
    expect(kills.map((kill) => String(kill["victim"].comm)).sort()).toEqual([
      "perl",
      "perl",
      "perl",
      "sleep",
      "sleep",
    ]);
    const inner = kills.find((kill) => kill["scope"].cgroup === "/par");
    expect(inner?.["victim"].cgroup).toBe("/par/inner");
  });
});

describe("oom on 5.10 with bpftrace 0.23: a limit, a parent's limit, the host's memory", () => {
  const path = join(FOLDER, "5.10", "oom-0.23.trace.gz");
  const folder = mkdtempSync(join(tmpdir(), "trace-vm-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(["kprobe and log", "kprobe alone"])("told by %s", async (by) => {
    const events = join(folder, "events.trace.gz");
    writeFileSync(events, withoutKernelLog(readFileSync(path)));
    const { records, summary } = await replayRecording(by === "kprobe alone" ? events : path, "oom");
    const kills = records.filter(({ type }) => type === "oom");
    const user = { order: 0, gfpMask: "0xcc0" };
    const limit = { kind: "memcg", limitBytes: 40 * MIB, usageBytes: 40 * MIB };
    expect(kills).toMatchObject([
      {
        scope: { ...limit, cgroup: "/m126" },
        invoker: { ...user, pid: 703, comm: "perl" },
        victim: { pid: 703, cgroup: "/m126" },
      },
      {
        scope: { ...limit, cgroup: "/m126-par" },
        invoker: { ...user, pid: 704, comm: "perl" },
        victim: { pid: 704, cgroup: "/m126-par/in" },
      },
      {
        // bpftrace itself asked, for a page of its own program file.
        scope: { kind: "host", cgroup: null, limitBytes: null, usageBytes: null },
        invoker: { order: 0, gfpMask: "0x100cca", pid: 665, comm: "bpftrace" },
        victim: { pid: 709 },
      },
    ]);
    for (const { stack } of kills) expect(stack.at(-1)).toBe("oom_kill_process"); // the log alone: oom_kill_process.cold
    expect(summary["byCgroup"]).toEqual({ "/m126": 1, "/m126-par": 1, "(host)": 1 });
  });
});

test("oom on 7.2 with cgroup v2: each kind of limit once, told by the kprobe and the log", async () => {
  const { records, summary } = await replay("7.2", "oom-cgroups");
  const pod =
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b2c3d4e_0000_4000_8000_aabbccddeeff.slice";
  const kills = records.filter(({ type }) => type === "oom");
  const told = kills.map((kill) => [
    kill["victim"].pid,
    kill["victim"].comm,
    kill["scope"].cgroup,
    kill["victim"].cgroup,
  ]);
  expect(told).toEqual([
    [338, "worker", "/shop", "/shop/api"],
    // memory.oom.group of /grp, two levels deep; then of a leaf, for the limit of its parent. Whoever was chosen comes first.
    [360, "eater", "/grp", "/grp/y"],
    [357, "side", "/grp", null],
    [356, "sleeper", "/grp", null],
    [384, "big", "/up", "/up/leaf"],
    [382, "small", "/up", null],
    [396, "php-fpm: pool w", "/system.slice/web.service", "/system.slice/web.service"],
    [411, "chrome", "/user.slice/user-1000.slice", "/user.slice/user-1000.slice/session-3.scope"],
    [430, "java", pod, `${pod}/cri-containerd-${"0123456789abcdef".repeat(4)}.scope`],
    [445, "dd", "/files", "/files"],
    [464, "swapper", "/sw", "/sw"],
    [490, "noswap", "/sw0", "/sw0"],
    [504, "perl", "/pipes", "/pipes"],
    ...[522, 523, 524, 525].map((pid, index) => [pid, `w${String(index + 1)}`, "/loop", "/loop"]),
    [532, 'a\nb) "x', "/sp ace(1)", "/sp ace(1)"],
  ]);
  const groups = kills.flatMap(({ group }) => (group === null ? [] : [[group.cgroup, group.leaderPid]]));
  expect(groups).toEqual([
    ...Array.from({ length: 3 }, () => ["/grp", 360]),
    ...Array.from({ length: 2 }, () => ["/up/leaf", 384]),
  ]);
  // Most lived for seconds, some for less than the time between two looks: each has its growth, as the event tells its start.
  for (const { victim, group } of kills)
    if (group === null || group.leaderPid === victim.pid)
      expect(victim.growthBytesPerSecond).toBeGreaterThan(MIB);
  const of = (pid: number) => kills.find((kill) => kill["victim"].pid === pid);
  expect(of(464)).toMatchObject({ swapLimitBytes: 20 * MIB, victim: { swapBytes: expect.any(Number) } });
  expect(of(490)).toMatchObject({ swapLimitBytes: 0 });
  expect(of(504)).toMatchObject({ order: 3 });
  const ids = findings(summary).map((finding) => String(finding["id"]));
  expect(new Set(ids)).toEqual(
    new Set([
      "oom-cgroup-limit",
      "oom-crash-loop",
      "oom-no-killable-process",
      "oom-shared-memory",
      "oom-kernel-memory",
      "oom-group-kill",
      "oom-cgroup-swap-full",
      "userspace-killer",
    ]),
  );
});

test("oom on 7.2: by hand, a cpuset, a memory policy, the host without and with swap", async () => {
  const { records, summary } = await replay("7.2", "oom-host");
  const kills = records.filter(({ type }) => type === "oom");
  expect(
    kills.map((kill) => [kill["victim"].pid, kill["victim"].comm, kill["scope"].kind, kill["order"]]),
  ).toEqual([
    [712, "victim", "host", -1],
    [725, "cpusethog", "cpuset", 0],
    [791, "perl", "mempolicy", 0],
    [816, "globalhog", "host", 0],
    [889, "swaphog", "host", 0],
  ]);
  const problems = findings(summary).map(({ id, severity, count }) => [id, severity, count]);
  expect(problems).toEqual([
    ["oom-host", "problem", 2],
    ["oom-cpuset", "problem", 1],
    ["oom-mempolicy", "problem", 1],
    ["oom-victim-not-largest", "suspicious", 1],
    ["oom-swap-full", "info", 2],
    ["oom-manual", "info", 1],
  ]);
  const report = await runTrace("replay", join(FOLDER, "7.2", "oom-host.trace.gz"), "--no-profile");
  // Different things ran out: none is a repeat of another.
  expect(report.stdout.match(/\d\w\w kill here/g)).toBeNull();
  expect(report.stdout).toMatch(/^ +1 {2}the host \(by hand\) /m);
});

describe("retrans: 30 % loss in the sender's queue", () => {
  test("5.10 with bpftrace 0.11: a number, and no conclusion from what was not seen", async () => {
    const { records, summary } = await replay("5.10", "retrans");
    // The kernel's counter said 134 segments in these 132 events.
    expect(summary["retransmits"].events).toBe(132);
    expect(findings(summary)).toEqual([]);
    expect(notices(records)).toEqual([expect.stringContaining("no kernel types (BTF) with this bpftrace")]);
    const report = await runTrace("replay", join(FOLDER, "5.10", "retrans.trace.gz"), "--no-profile");
    expect(report.stdout).toMatch(/^a +479 +134 +27\.97 % +–$/m);
  });

  test.each([
    { kernel: "5.10", name: "retrans-0.23", segments: 156, dropped: 152, sender: "m126-a" },
    { kernel: "6.1", segments: 156, dropped: 152, sender: "m139-a" },
    { kernel: "6.12", segments: 126, dropped: 117, sender: "a" },
    { kernel: "7.2", segments: 138, dropped: 136, sender: "m150-a" },
  ])(
    "$kernel: as many as TcpRetransSegs, and this host's own queue",
    async ({ kernel, name = "retrans", segments, dropped, sender }) => {
      const { records, summary } = await replay(kernel, name);
      expect(notices(records).filter((text) => text.startsWith("output of the program"))).toEqual([]);
      // That machine was slow: what was not read in time is told.
      const gaps = notices(records).filter((text) => text.endsWith("no answer within 2 s"));
      expect(gaps.length > 0).toBe(kernel === "6.12");
      expect(summary["retransmits"].segments).toBe(segments);
      expect(findings(summary)).toHaveLength(1);
      expect(findings(summary)[0]).toMatchObject({
        severity: "problem",
        count: dropped,
        netns: { name: sender },
      });
      // Only the end could be read on 6.12; on the others the queue was taken away before that.
      expect(findings(summary)[0]?.["summary"]).toMatch(/\(netem 8001:\) (?:drops|dropped) packets/);
      expect(findings(summary)[0]?.["evidence"].join(" ")).toContain("netem: loss 30 %");
    },
  );
});

test("kthreads on 7.2: packets of the backlog and the workers' jobs", async () => {
  const { summary } = await replay("7.2", "kthreads");
  expect(summary["samples"]).toMatchObject({ total: 12, kernelThreads: 12, user: 0 });
});

test("kthreads on 6.1, short of memory: programs that free it themselves make kswapd a problem", async () => {
  const { summary } = await replay("6.1", "kthreads");
  const found = findings(summary).map(({ id, severity, count }) => [id, severity, count]);
  expect(found).toEqual([
    ["kswapd", "problem", 56],
    ["work-function", "suspicious", 175],
  ]);
  // The kernel had counted 12,822 and 56,914 pages over a little more than the run.
  const evidence = findings(summary)[0]?.["evidence"].join(" ");
  expect(evidence).toContain("programs looked at 11,505 pages themselves (direct reclaim)");
  expect(evidence).toContain("looked at 41,152 pages, freed 30,021");
});

test("profile on 5.10 with bpftrace 0.11: one busy program", async () => {
  const { summary } = await replay("5.10", "profile");
  expect(summary["samples"]).toEqual({ total: 72, idle: 0, kernel: 28, user: 44, kernelThreads: 0 });
  expect(summary["processes"]).toMatchObject([{ comm: "spinner", samples: 72 }]);
  expect(summary["lost"]).toBe(0);
});

test("profile on 7.2 with bpftrace 0.27: the functions of a busy program", async () => {
  const { summary } = await replay("7.2", "profile");
  // That program had 501 hundredths of a second of a CPU; the machine was emulated, and its timer late.
  expect(summary["samples"]).toEqual({ total: 308, idle: 69, kernel: 13, user: 295, kernelThreads: 0 });
  expect(summary["processes"]).toMatchObject([{ comm: expect.stringContaining("spinner"), samples: 308 }]);
  expect(summary["top"][0]).toMatchObject({ frame: "Perl_runops_standard", file: "perl" });
});
