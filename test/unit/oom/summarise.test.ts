import { createTeller } from "../../../probes/oom/tell.ts";
import { describe, expect, it } from "vitest";
import { findOwner } from "../../../probes/oom/log/cgroup-owner.ts";
import { raiseLimit } from "../../../probes/oom/log/commands.ts";
import { describeKill } from "../../../probes/oom/log/describe.ts";
import { memoryStacks } from "../../../probes/oom/log/memory-stacks.ts";
import { createOomSummariser, summarise } from "../../../probes/oom/log/summarise.ts";
import type { OomReport } from "../../../probes/oom/record.ts";
import { escapeText } from "../../../src/text/escape.ts";
import { only, parseFixture } from "./read.ts";

const ID = "5f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8";

function conclude(log: string): ReturnType<typeof summarise> {
  const { reports, notes } = parseFixture(log);
  return summarise(reports, notes);
}

const MIB = 1024 ** 2;

describe("what a log leads to", () => {
  it.each([
    ["dmesg/7.2-memcg.txt", ["oom-cgroup-limit"]],
    ["dmesg/7.2-global.txt", ["oom-host", "oom-victim-not-largest", "oom-kill-series"]],
    ["recorded/6.12-v2-group.txt", ["oom-cgroup-limit", "oom-many-processes", "oom-group-kill"]],
    ["recorded/6.12-v2-nokill.txt", ["oom-no-killable-process"]],
    ["recorded/6.12-sysrq.txt", ["oom-manual"]],
    ["recorded/6.18-v1-many.txt", ["oom-cgroup-limit", "oom-kill-series"]],
    ["recorded/6.18-v1-shmem.txt", ["oom-cgroup-limit", "oom-shared-memory"]],
    ["recorded/6.18-v1-storm.txt", ["oom-cgroup-limit", "oom-storm", "oom-reports-suppressed"]],
    ["composed/4.19-host-child.composed.txt", ["oom-host", "oom-swap-full"]],
    ["composed/5.10-cpuset.composed.txt", ["oom-cpuset", "oom-mempolicy"]],
    ["composed/5.15-order3.composed.txt", ["oom-fragmentation", "oom-huge-pages", "oom-victim-not-largest"]],
    [
      "composed/6.6-unit-journal.composed.txt",
      ["oom-cgroup-limit", "oom-kernel-memory", "oom-many-processes", "oom-cgroup-swap-full"],
    ],
  ])("%s → %j", (log, ids) => {
    expect(
      conclude(log)
        .findings.map((finding) => finding.id)
        .toSorted(),
    ).toEqual(ids.toSorted());
  });

  it("every finding is one line a sentence, and complete", () => {
    for (const log of [
      "recorded/6.18-v1-names.txt",
      "composed/5.15-order3.composed.txt",
      "composed/5.15-k8s-rsyslog.composed.txt",
    ]) {
      for (const finding of conclude(log).findings) {
        expect(finding.netns).toBeNull();
        expect(finding.count).toBeGreaterThan(0);
        for (const text of [finding.summary, ...finding.evidence, ...finding.check, ...finding.fix])
          expect(text).toBe(escapeText(text));
      }
    }
  });

  it("names the parent's limit and computes what it should be at least", () => {
    const { findings, byCgroup } = conclude("recorded/6.12-v2-parent.txt");
    expect(byCgroup).toEqual({ "/kubepods.slice": 1 });
    expect(findings[0]?.evidence).toContain(
      "the limit is that of the parent /kubepods.slice; the victims lived in /kubepods.slice/child",
    );
    // 40 MiB in use and a quarter more is 50, rounded up to 64.
    expect(findings[0]?.fix.at(-1)).toBe("echo 67108864 > /sys/fs/cgroup/kubepods.slice/memory.max");
  });

  describe("swap is advised", () => {
    const report = only(parseFixture("dmesg/7.2-global.txt").reports.slice(0, 1));
    const host = report.hostMemory;
    const GIB = 1024 ** 3;
    const advice = (memory: object, cgroup: string | null = "/") => {
      if (host === null) throw new Error("no memory of the host in the log");
      const hostMemory = { ...host, swapTotalBytes: 0, ...memory };
      const victim = { ...report.victim, cgroup };
      const { findings } = summarise(
        [{ ...report, hostMemory, victim }],
        parseFixture("dmesg/7.2-memcg.txt").notes,
      );
      return findings.flatMap(({ fix }) => fix).filter((command) => command.includes("swapfile"));
    };

    it.each([
      [0.25, "512M"],
      [2, "1024M"],
      [5, "2560M"],
      [256, "4096M"],
    ])("by the size of the machine: %f GiB", (gib, size) => {
      const [command] = advice({ totalBytes: gib * GIB, anonBytes: gib * GIB * 0.9 });
      expect(command).toContain(`fallocate -l ${size} /swapfile && chmod 600 /swapfile`);
      expect(command).toContain(`# on btrfs instead: btrfs filesystem mkswapfile --size ${size} /swapfile`);
    });

    it("not where it would not help: other memory, a Kubernetes node, an unknown size, swap that is there", () => {
      const used = { totalBytes: 4 * GIB, anonBytes: 3 * GIB };
      expect(advice(used)).toHaveLength(1);
      expect(advice({ ...used, anonBytes: GIB / 2, shmemBytes: 0 })).toEqual([]);
      expect(advice({ ...used, anonBytes: GIB / 2, shmemBytes: 3 * GIB })).toHaveLength(1);
      expect(advice(used, "/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope")).toEqual([]);
      expect(advice({ ...used, totalBytes: null })).toEqual([]);
      expect(advice({ ...used, swapTotalBytes: GIB })).toEqual([]);
    });
  });

  it("counts swap in use as memory needed", () => {
    const [finding] = conclude("recorded/6.12-v2-swap.txt").findings;
    expect(finding?.fix).toEqual(["echo 150994944 > /sys/fs/cgroup/sw/memory.max"]);
  });

  it("calls it a crash loop when the victims are new each time", () => {
    const loop = conclude("recorded/6.12-v2-storm.txt").findings.find(
      (finding) => finding.id === "oom-crash-loop",
    );
    expect([loop?.count, loop?.summary]).toEqual([4, "4th kill in cgroup /storm within 9.5 s: a crash loop"]);
  });

  it("counts kills of a window, not of all time", () => {
    const report = only(parseFixture("dmesg/7.2-memcg.txt").reports);
    const at = (seconds: number, pid: number): OomReport => ({
      ...report,
      time: { kind: "monotonic", seconds },
      monotonic: seconds,
      victim: { ...report.victim, pid },
      tasks: report.tasks.map((task) => ({ ...task, pid })),
    });
    const four = summarise([at(10, 1), at(50, 2), at(90, 3), at(129, 4)]);
    expect(four.findings.find((finding) => finding.id === "oom-crash-loop")?.summary).toBe(
      "4th kill in cgroup /job within 1m59s: a crash loop",
    );
    const slow = summarise([at(10, 1), at(1000, 2), at(2000, 3), at(3000, 4)]);
    expect(slow.findings.map((finding) => finding.id)).toEqual(["oom-cgroup-limit"]);
    expect(slow.kills).toBe(4);
  });

  it("is the same added one by one", () => {
    const { reports, notes } = parseFixture("recorded/6.12-v2-storm.txt");
    const summariser = createOomSummariser();
    for (const report of reports) summariser.add(report);
    expect(summariser.result(notes)).toEqual(summarise(reports, notes));
  });

  it("keeps a cgroup named like an object's own property", () => {
    const report = only(parseFixture("dmesg/7.2-memcg.txt").reports);
    const odd = { ...report, scope: { ...report.scope, cgroup: "__proto__" } };
    expect(Object.entries(summarise([odd]).byCgroup)).toEqual([["__proto__", 1]]);
  });
});

describe("whose cgroup it is", () => {
  const pod = "10d16a28-60ff-475f-a631-510d9792219f";
  const slice = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${pod.replaceAll("-", "_")}.slice`;

  it.each([
    [`/docker/${ID}`, "docker", "docker container 5f1a2b3c4d5e"],
    [`/system.slice/docker-${ID}.scope`, "docker", "docker container 5f1a2b3c4d5e"],
    [`/machine.slice/libpod-${ID}.scope/container`, "podman", "podman container 5f1a2b3c4d5e"],
    [`${slice}/cri-containerd-${ID}.scope`, "kubernetes", `container 5f1a2b3c4d5e of pod ${pod}`],
    [`/kubepods/besteffort/pod${pod}/${ID}`, "kubernetes", `container 5f1a2b3c4d5e of pod ${pod}`],
    [`${slice}:cri-containerd:${ID}`, "kubernetes", `container 5f1a2b3c4d5e of pod ${pod}`],
    ["/kubepods.slice", "kubernetes", "Kubernetes pods"],
    ["/system.slice/nginx.service", "systemd", "nginx.service"],
    [
      "/system.slice/system-postgresql.slice/postgresql@15-main.service",
      "systemd",
      "postgresql@15-main.service",
    ],
    ["/user.slice/user-1000.slice/session-3.scope", "systemd", "session-3.scope"],
    ["/user.slice/user-1000.slice/user@1000.service/app.slice/run-u9.scope", "user-unit", "run-u9.scope"],
    ["/user.slice/user-1000.slice/user@1000.service", "systemd", "user@1000.service"],
    ["/lxc/web", "lxc", "LXC container web"],
    ["/lxc.payload.web/system.slice/nginx.service", "lxc", "LXC container web"],
    ["/machine.slice/machine-qemu\\x2d1\\x2dweb.scope", "machine", "machine qemu-1-web"],
    ["/slurm/uid_1000/job_123/step_0", "slurm", "Slurm job 123"],
    ["/job", "cgroup", "cgroup /job"],
    ["/", "cgroup", "the root cgroup"],
  ])("%s", (path, kind, label) => {
    expect(findOwner(path)).toMatchObject({ kind, label });
  });

  it.each([
    [`/docker/${ID}`, 2, [`docker update --memory 640M --memory-swap 1280M ${ID}`]],
    ["/system.slice/my app.service", 2, ["systemctl set-property 'my app.service' MemoryMax=640M"]],
    [
      "/user.slice/user-1000.slice/user@1000.service/app.slice/run-u9.scope",
      2,
      ["systemctl --user --machine=1000@ set-property run-u9.scope MemoryMax=640M"],
    ],
    ["/job", 2, ["echo 671088640 > /sys/fs/cgroup/job/memory.max"]],
    ["/job", 1, ["echo 671088640 > /sys/fs/cgroup/memory/job/memory.limit_in_bytes"]],
    ["/a;reboot\u001b'x", 2, ["echo 671088640 > $'/sys/fs/cgroup/a;reboot\\x1b\\'x/memory.max'"]],
    [
      "/job",
      null,
      [
        "echo 671088640 > /sys/fs/cgroup/job/memory.max || echo 671088640 > /sys/fs/cgroup/memory/job/memory.limit_in_bytes",
      ],
    ],
  ] as const)("%s (v%s) is raised by %j", (path, version, commands) => {
    const ref = { path, version, owner: findOwner(path), memorySwapLimited: false };
    expect(raiseLimit(ref, 640 * 1024 ** 2)).toEqual(commands);
  });
});

describe("a kill for a reader and for a profile", () => {
  it("is five lines at most, names escaped", () => {
    const [first, second] = parseFixture("recorded/6.18-v1-names.txt").reports;
    const context = { when: "12:00:00 UTC", repeats: null, growthOf: () => ({ bytes: MIB, seconds: 4 }) };
    const lines = describeKill(first ?? only([]), context);
    expect(lines).toEqual([
      expect.stringMatching(
        /^12:00:00 UTC {2}a\\nb "c" \[d\],e \(1442\) was killed: cgroup \/job-v1 reached its memory limit of 40\.0 MiB$/,
      ),
      expect.stringMatching(/^asked {3}a\\nb "c" \[d\],e \(1442\), order 0\. It asked for a page/),
      expect.stringMatching(/^victim {2}uid 0, anonymous .* oom_score_adj 0; in \/job-v1$/),
      expect.stringMatching(/^held by a\\nb "c" \[d\],e \(1442\) .*, grew 1\.0 MiB in 4\.0 s\)/),
      expect.stringMatching(
        /^next {4}Limit hit \d+ times\. Raise the limit to at least 64\.0 MiB, or look for growth in a\\nb/,
      ),
    ]);
    expect(describeKill(second ?? only([]), context).join("")).not.toContain("\u001b");
  });

  it("does not blame a process that died with its group", () => {
    const [leader, follower] = parseFixture("recorded/6.12-v2-group.txt").reports;
    const context = { when: null, repeats: null, growthOf: () => null };
    expect(describeKill(leader ?? only([]), context).at(-1)).toMatch(/or look for growth in \w+$/);
    expect(describeKill(follower ?? only([]), context)).toEqual([
      expect.stringMatching(/ was killed together with process 204: pod \S+ reached its memory limit of /),
      expect.stringMatching(/^victim {2}uid 0, anonymous /),
      expect.stringMatching(/^next {4}It need not be at fault: memory\.oom\.group is set in /),
    ]);
  });

  it("points to the kernel's memory where that is most of it", () => {
    const report = only(parseFixture("dmesg/7.2-memcg.txt").reports);
    const stats = report.memory?.stats;
    if (report.memory === null || stats == null) throw new Error("no stats");
    const full = {
      ...report,
      memory: { ...report.memory, stats: { ...stats, kernelBytes: 50 * MIB } },
    };
    expect(describeKill(full, { when: null, repeats: null, growthOf: () => null }).at(-1)).toContain(
      "Look at what its processes keep open (pipes, sockets, files): 50.0 MiB are the kernel's memory",
    );
  });

  it("numbers the kills of each host by themselves", () => {
    const teller = createTeller({ start: 0, isSaved: true, samples: { growth: () => null } });
    const report = only(parseFixture("dmesg/7.2-memcg.txt").reports);
    const first = (host: string) => teller.tell({ ...report, host }, 1)[0];
    expect(first("a")).toMatch(/^OOM {2}/);
    expect(first("b")).toMatch(/^OOM {2}/);
    expect(first("a")).toMatch(/^OOM #2 {2}/);
  });

  it("names a repeat, and from the third on a loop", () => {
    const report = only(parseFixture("dmesg/7.2-memcg.txt").reports);
    const next = (count: number) =>
      describeKill(report, { when: null, repeats: { count, seconds: 90 }, growthOf: () => null }).at(-1);
    expect(next(1)).toMatch(/^next {4}Limit hit 18 times\. Raise/);
    expect(next(2)).toMatch(/^next {4}Limit hit 18 times, 2nd kill here within 1m30s\. Raise/);
    expect(next(3)).toMatch(/^next {4}Limit hit 18 times, 3rd kill here within 1m30s: a loop\. Raise/);
  });

  it("weighs the processes of the table", () => {
    const report = only(parseFixture("dmesg/7.2-memcg.txt").reports);
    expect(memoryStacks(report)).toEqual([
      { frames: ["/job", "perl (566)", "anon"], bytes: 15308 * 4096 },
      { frames: ["/job", "perl (566)", "file"], bytes: 1214 * 4096 },
      { frames: ["/job", "perl (566)", "page tables"], bytes: 184320 },
    ]);
  });

  it("shows the victim alone where the report was suppressed", () => {
    const [first] = parseFixture("recorded/6.18-v1-storm.txt").reports;
    const stacks = memoryStacks(first ?? only([]));
    expect(stacks.map((stack) => stack.frames.at(-1))).toEqual(["anon", "file", "page tables"]);
  });
});
