import { describe, expect, it } from "vitest";
import { only, parseFixture } from "./read.ts";

const KIB = 1024;

// Figures read off the logs by hand.
describe("recorded kills", () => {
  it("reads a cgroup v2 kill of 7.2 with every part", () => {
    const report = only(parseFixture("dmesg/7.2-memcg.txt").reports);
    expect(report.scope).toEqual({
      kind: "memcg",
      cgroup: "/job",
      limitBytes: 61440 * KIB,
      usageBytes: 61440 * KIB,
      failcnt: 18,
    });
    expect(report.invoker).toEqual({
      pid: 566,
      tid: 566,
      comm: "perl",
      gfpMask: "0xcc0",
      order: 0,
      oomScoreAdj: 0,
      cgroup: "/job",
    });
    expect(report.victim).toEqual({
      pid: 566,
      comm: "perl",
      uid: 0,
      cgroup: "/job",
      totalVmBytes: 315756 * KIB,
      anonRssBytes: 61232 * KIB,
      fileRssBytes: 4856 * KIB,
      shmemRssBytes: 0,
      pageTableBytes: 180 * KIB,
      oomScoreAdj: 0,
      swapBytes: 0,
    });
    expect(report.tasks).toHaveLength(1);
    expect(report.tasks[0]).toMatchObject({
      pid: 566,
      rssBytes: 16522 * 4096,
      anonBytes: 15308 * 4096,
      fileBytes: 1214 * 4096,
    });
    expect(report.stack?.[0]).toBe("asm_exc_page_fault");
    expect(report.stack?.at(-1)).toBe("oom_kill_process.cold");
    expect(report.gfpFlags).toEqual(["GFP_KERNEL"]);
    expect(report.time).toEqual({ kind: "monotonic", seconds: 93.31839 });
    expect(report.kernel).toBe("7.2.12+deb14-amd64");
    expect([report.complete, report.missing, report.pageSize]).toEqual([
      true,
      [],
      { bytes: 4096, known: true },
    ]);
    expect(report.memory).toMatchObject({
      version: 2,
      hit: "memory",
      swap: { usageBytes: 0, limitBytes: 0, failcnt: 0 },
    });
    expect(report.memory?.stats).toMatchObject({
      cgroup: "/job",
      anonBytes: 62701568,
      kernelBytes: 212992,
      shmemBytes: 0,
    });
  });

  it("reads the host's memory and its zones, and leaves a page allocation failure in between alone", () => {
    const { reports, notes } = parseFixture("dmesg/7.2-global.txt");
    expect(reports.map((report) => [report.scope.kind, report.victim.pid, report.victim.comm])).toEqual([
      ["host", 160, "globalhog"],
      ["host", 161, "perl"],
      ["host", 163, "perl"],
    ]);
    expect(notes.incidents).toEqual([]);
    const host = reports[0]?.hostMemory;
    expect(host).toMatchObject({
      totalBytes: 130939 * 4096,
      freeBytes: 521 * 4096,
      anonBytes: (4989 + 102498) * 4096,
      slabUnreclaimableBytes: 3296 * 4096,
      kernelStackBytes: 1104 * KIB,
      swapTotalBytes: 0,
    });
    expect(host?.zones.map((zone) => [zone.zone, zone.freeBytes, zone.minBytes, zone.highBytes])).toEqual([
      ["DMA", 1796 * KIB, 88 * KIB, 128 * KIB],
      ["DMA32", 288 * KIB, 2612 * KIB, 3916 * KIB],
    ]);
    expect(host?.zones[0]?.freeBlocks).toEqual([1, 0, 0, 0, 2, 1, 2, 2, 0, 0, 0]);
    expect(reports[1]?.invoker).toMatchObject({ pid: 163, comm: "perl", cgroup: null });
    expect(reports[1]?.tasks.map((task) => task.pid).slice(0, 2)).toEqual([163, 161]);
  });

  it("names the parent whose limit was hit and the child that died", () => {
    for (const log of ["recorded/6.12-v2-parent.txt", "recorded/6.18-v1-parent.txt"]) {
      const report = only(parseFixture(log).reports);
      expect(report.victim.cgroup).toBe(`${report.scope.cgroup ?? ""}/child`);
      expect(report.scope.limitBytes).toBe(40 * KIB * KIB);
    }
  });

  it("tells cgroup v1 by its counters and takes the subtree's figures", () => {
    const report = only(parseFixture("recorded/6.18-v1-parent.txt").reports);
    expect(report.memory).toMatchObject({
      version: 1,
      memorySwap: { usageBytes: 40960 * KIB, limitBytes: null, failcnt: 0 },
      stats: { anonBytes: 41787392 },
    });
  });

  it("keeps a group kill together and counts its first victim once", () => {
    for (const [log, pids] of [
      ["recorded/6.12-v2-group.txt", [204, 203, 205, 206, 207, 208]],
      ["recorded/5.10-v2-group.txt", [147, 146, 148, 149, 150, 151]],
    ] as const) {
      const { reports } = parseFixture(log);
      expect(reports.map((report) => report.victim.pid)).toEqual(pids);
      expect(new Set(reports.map((report) => report.group?.leaderPid))).toEqual(new Set([pids[0]]));
      expect(new Set(reports.map((report) => report.scope.failcnt)).size).toBe(1);
    }
    expect(parseFixture("recorded/5.10-v2-group.txt").notes.duplicates).toBe(1);
  });

  it("counts swap: the victim's and the cgroup's", () => {
    const report = only(parseFixture("recorded/6.12-v2-swap.txt").reports);
    expect(report.victim.swapBytes).toBe(16320 * 4096);
    expect(report.memory?.swap).toEqual({ usageBytes: 65416 * KIB, limitBytes: null, failcnt: 0 });
  });

  it("makes one record of each bare line of a storm and repeats the kernel's count of suppressed reports", () => {
    const bare = parseFixture("recorded/6.18-v1-storm.txt");
    expect(bare.reports).toHaveLength(40);
    expect(
      bare.reports.every((report) => report.scope.kind === "memcg" && report.scope.cgroup === null),
    ).toBe(true);
    const mixed = parseFixture("recorded/6.12-v2-storm.txt");
    expect(mixed.reports.map((report) => report.victim.comm)).toEqual([
      ...Array.from({ length: 13 }, (_, index) => `storm${String(index + 13)}`),
      "after",
    ]);
    expect(mixed.notes.suppressed).toBe(10);
    expect(mixed.reports.find((report) => report.victim.comm === "storm24")?.suppressedBefore).toBe(10);
  });

  it("does not call it a kill when there was nothing to kill", () => {
    const { reports, notes } = parseFixture("recorded/6.12-v2-nokill.txt");
    expect(reports).toEqual([]);
    expect(notes.incidents[0]).toMatchObject({
      kind: "no-killable-process",
      scope: { kind: "memcg", cgroup: "/nok" },
    });
  });

  it("tells SysRq-f by its order", () => {
    const report = only(parseFixture("recorded/6.12-sysrq.txt").reports);
    expect([report.order, report.victim.comm, report.invoker.comm]).toEqual([
      -1,
      "sysrqvictim",
      "kworker/1:1",
    ]);
    expect(report.gfpMeaning).toContain("by hand");
  });
});

describe("names that hold anything", () => {
  const names = ['a\nb "c" [d],e', "\u001b[31mr\\x \ufffd)"];

  it.each(["recorded/6.18-v1-names.txt", "recorded/6.18-v1-names.kmsg.txt"])("%s", (log) => {
    const { reports } = parseFixture(log);
    expect(reports.map((report) => report.victim.comm)).toEqual(names);
    expect(reports.map((report) => report.invoker.comm)).toEqual(names);
    expect(reports.map((report) => report.tasks[0]?.comm)).toEqual(names);
    expect(reports.every((report) => report.complete && report.scope.cgroup === "/job-v1")).toBe(true);
  });

  it("joins a name that a console printed on two lines", () => {
    const [first] = parseFixture("recorded/6.18-v1-names.console.txt").reports;
    expect([first?.victim.comm, first?.invoker.comm, first?.tasks[0]?.comm]).toEqual([
      names[0],
      names[0],
      names[0],
    ]);
    expect(first?.complete).toBe(true);
  });
});

describe("other kernels", () => {
  it("4.19: no summary line, a cgroup from 'killed as a result of limit of'", () => {
    const report = only(parseFixture("composed/4.19-docker-memcg.composed.txt").reports);
    expect(report.scope).toMatchObject({ kind: "memcg", limitBytes: 524288 * KIB, failcnt: 4563 });
    expect(report.scope.cgroup).toMatch(/^\/docker\/5f1a2b3c/);
    expect(report.memory?.stats).toMatchObject({ anonBytes: 517120 * KIB, fileBytes: 1024 * KIB });
    expect(report.reaped).toEqual({ anonRssBytes: 0, fileRssBytes: 0, shmemRssBytes: 0 });
    expect(report.complete).toBe(true);
  });

  it("4.19: the child that died for its parent is the victim, once", () => {
    const report = only(parseFixture("composed/4.19-host-child.composed.txt").reports);
    expect([report.victim.pid, report.victim.comm, report.scope.kind]).toEqual([612, "worker", "host"]);
    expect(report.hostMemory).toMatchObject({ swapTotalBytes: 262140 * KIB, swapFreeBytes: 0 });
  });

  it("5.1: two reports at once, told apart by the printing context", () => {
    const { reports } = parseFixture("composed/5.1-caller.composed.txt");
    expect(
      reports.map((report) => [
        report.scope.cgroup,
        report.scope.limitBytes,
        report.invoker.pid,
        report.stack,
      ]),
    ).toEqual([
      ["/test1", 1024 * KIB, 9185, ["mem_cgroup_out_of_memory", "out_of_memory"]],
      ["/test2", 2048 * KIB, 9190, ["mem_cgroup_out_of_memory"]],
    ]);
    expect(reports.some((report) => report.interleaved)).toBe(false);
  });

  it("5.4: page tables printed in bytes as kB are bytes", () => {
    const report = only(parseFixture("composed/5.4-memcg-v1.composed.txt").reports);
    expect(report.victim.pageTableBytes).toBe(249856);
    expect(report.scope.cgroup).toBe("/batch/a,b=c");
    expect(report.victim.cgroup).toBe("/batch/a,b=c/inner");
  });

  it("6.6 on arm64: 64 KiB pages are told by the victim's two sizes", () => {
    const report = only(parseFixture("composed/6.6-arm64-64k.composed.txt").reports);
    expect(report.pageSize).toEqual({ bytes: 65536, known: true });
    expect(report.tasks[0]?.rssBytes).toBe(2048 * 65536);
    expect(report.stack).toEqual([
      "el0t_64_sync",
      "do_page_fault",
      "handle_mm_fault",
      "try_charge_memcg",
      "mem_cgroup_out_of_memory",
      "out_of_memory",
      "oom_kill_process",
    ]);
  });

  it("3.10: counts page table pages and reads the uid beside the name", () => {
    const report = only(parseFixture("composed/3.10-rhel7.composed.txt").reports);
    expect(report.victim).toMatchObject({
      pid: 21945,
      comm: "tidb-server",
      uid: 1000,
      pageTableBytes: 15800 * 4096,
      swapBytes: 0,
    });
    expect(report.invoker).toMatchObject({ pid: 21966, comm: "tidb-server", gfpMask: "0x201da" });
    // Up to 4.5 the kernel prints the bits alone.
    expect(report.gfpFlags).toEqual(["GFP_HIGHUSER_MOVABLE", "__GFP_COLD"]);
    expect(report.gfpMeaning).toBe(
      "It asked for a page for a user process (anonymous memory or page cache).",
    );
    expect(report.time).toEqual({ kind: "wall", iso: "2026-03-14T16:55:03.000000Z", zoned: false });
  });

  it("tells cpuset and memory policy", () => {
    const { reports } = parseFixture("composed/5.10-cpuset.composed.txt");
    expect(reports.map((report) => [report.scope.kind, report.victim.cgroup])).toEqual([
      ["cpuset", "/system.slice/containerd.service"],
      ["mempolicy", "/system.slice/sshd.service"],
    ]);
  });

  it("5.15 through rsyslog: newlines as #012, other programs' quotes of a kill are not kills", () => {
    const { reports, notes } = parseFixture("composed/5.15-k8s-rsyslog.composed.txt");
    expect(reports.map((report) => report.victim.pid)).toEqual([68061, 68030]);
    expect(notes.duplicates).toBe(1);
    expect(reports[0]).toMatchObject({
      host: "node-3",
      monotonic: 8341.85687,
      memory: { stats: { anonBytes: 2979700736 } },
    });
    expect(reports[0]?.group?.cgroup).toMatch(/cri-containerd-178ec/);
  });
});
