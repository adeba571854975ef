import { describe, expect, it } from "vitest";
import { findAll } from "../../../probes/kthreads/findings/index.ts";
import type { FindingInput } from "../../../probes/kthreads/findings/shared.ts";
import { cpuMask } from "../../../probes/kthreads/findings/softirqs.ts";
import type { ThreadRow } from "../../../probes/kthreads/threads.ts";
import type { Work } from "../../../probes/kthreads/work.ts";
import { describeKernelThread } from "../../../src/catalogue/load.ts";

const thread = (pid: number, name: string, cpuPercent: number): ThreadRow => ({
  pid,
  name,
  described: describeKernelThread(name),
  disk: null,
  samples: Math.round(cpuPercent),
  cpuSeconds: cpuPercent / 10,
  cpuPercent,
  voluntarySwitches: 1,
  involuntarySwitches: 1,
});
const NOTHING: Work = {
  vectors: [],
  devices: [],
  functions: [],
  kswapdWakes: 0,
  kswapdCallers: [],
  commits: [],
  receivers: [],
  memory: {},
};
const input = (threads: ThreadRow[], work: Partial<Work> = {}): FindingInput => ({
  threads,
  work: { ...NOTHING, ...work },
  cpus: 4,
  hz: 100,
  seconds: 10,
});
const vector = { vector: "NET_RX", cpu: 1, own: 9, ownCount: 5000, other: 0.5, otherCount: 100 };

describe("findings of kthreads", () => {
  it("finds nothing where nothing is busy", () => {
    expect(findAll(input([thread(14, "ksoftirqd/0", 3), thread(35, "kswapd0", 0.1)]))).toEqual([]);
  });

  it("says which vector and device fill a CPU, and how to spread the work", () => {
    const threads = [thread(22, "ksoftirqd/1", 92), thread(14, "ksoftirqd/0", 1)];
    const devices = [{ device: "eth0", packets: 3_000_000, own: 2_900_000, polls: 50_000, full: 40_000 }];
    const [finding, ...others] = findAll(input(threads, { vectors: [vector], devices }));
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ id: "ksoftirqd", severity: "problem", count: 92 });
    expect(finding?.summary).toContain("ksoftirqd/1 takes 92 % of CPU 1, nearly all of it NET_RX from eth0");
    expect(finding?.summary).toContain("300,000 packets/s");
    expect(finding?.fix.join("\n")).toContain("ethtool -L eth0 combined 4");
    expect(finding?.fix.join("\n")).toContain("echo f > $q/rps_cpus");
    expect(finding?.evidence.join("\n")).toContain("ksoftirqd of 1 other CPU is idle");
  });

  it("names the virtual device that fills the backlog, in its namespace", () => {
    const [finding] = findAll(
      input([thread(22, "ksoftirqd/1", 40)], {
        vectors: [vector],
        devices: [{ device: null, packets: 1000, own: 900, polls: 10, full: 0 }],
        receivers: [{ netns: "blue; rm -rf /", device: "v0", packets: 1000 }],
      }),
    );
    expect(finding?.severity).toBe("suspicious");
    expect(finding?.check[0]).toBe(
      "ip netns exec 'blue; rm -rf /' grep . /sys/class/net/v0/queues/rx-*/rps_cpus",
    );
  });

  it("names both where a card and virtual devices bring the packets, each by what is its own", () => {
    const card = { device: "eth0", packets: 200_000, own: 150_000, polls: 9000, full: 0 };
    const backlog = { device: null, packets: 100_000, own: 60_000, polls: 9000, full: 10 };
    const [finding] = findAll(
      input([thread(22, "ksoftirqd/1", 61)], {
        vectors: [vector],
        devices: [card, backlog, { ...card, device: "eth1", own: 100 }],
        receivers: [
          { netns: null, device: "eth0", packets: 200_000 },
          { netns: "web", device: "v0", packets: 100_000 },
        ],
      }),
    );
    expect(finding?.summary).toContain(
      "NET_RX from eth0 (20,000 packets/s) and from v0 (10,000 packets/s): that CPU",
    );
    expect(finding?.fix.join("\n")).toMatch(/ethtool -L eth0 .*\n.*\nip netns exec web sh -c/);
    expect(finding?.evidence.join("\n")).not.toContain("eth1");
  });

  it("explains a vector that is not the network by the catalogue", () => {
    const [finding] = findAll(
      input([thread(22, "ksoftirqd/1", 70)], { vectors: [{ ...vector, vector: "RCU" }] }),
    );
    expect(finding?.summary).toContain("RCU");
    expect(finding?.fix).toEqual([]);
    expect(finding?.check.length).toBeGreaterThan(0);
  });

  it("calls direct reclaim a problem, and says who asked", () => {
    const [finding] = findAll(
      input([thread(45, "kswapd0", 30)], {
        kswapdWakes: 12,
        kswapdCallers: [{ pid: 7, comm: "java", count: 10 }],
        memory: { pgscan_kswapd: 1000, pgsteal_kswapd: 900, pgscan_direct: 5 },
      }),
    );
    expect(finding).toMatchObject({ id: "kswapd", severity: "problem", count: 12 });
    expect(finding?.evidence.join("\n")).toContain("java (pid 7, 10)");
  });

  it("finds the one job that keeps workers busy", () => {
    const worker = thread(50, "kworker/u8:3-writeback", 55);
    const functions = [
      { name: "wb_workfn", seconds: 8, count: 20, samples: 550, threads: [worker] },
      { name: "vmstat_update", seconds: 0.1, count: 90, samples: 2, threads: [worker] },
    ];
    const [finding, ...others] = findAll(input([worker], { functions }));
    expect(finding).toMatchObject({ id: "work-function", severity: "problem" });
    expect(finding?.summary).toContain("wb_workfn: 55 % of a CPU");
    // Explained once: the busy worker is no finding of its own.
    expect(others).toEqual([]);
    expect(findAll(input([], { functions: functions.map((row) => ({ ...row, samples: 9 })) }))).toEqual([]);
  });

  it("finds a journal that fsync keeps busy, and who calls it", () => {
    const disk = { number: "254:1", device: "vda1", path: "/srv", type: "ext4" };
    const commits = [
      {
        disk,
        number: "254:1",
        count: 500,
        seconds: 8,
        blocks: 4000,
        fsyncs: [{ pid: 9, comm: "postgres", count: 500 }],
      },
    ];
    const [finding] = findAll(input([], { commits }));
    expect(finding).toMatchObject({ id: "journal", severity: "suspicious", count: 500 });
    expect(finding?.summary).toContain("/srv (ext4 on vda1)");
    expect(finding?.evidence.join("\n")).toContain("postgres (pid 9, 500)");
    expect(
      findAll(input([], { commits: commits.map((row) => ({ ...row, count: 2, seconds: 0.01 })) })),
    ).toEqual([]);
  });

  it("mentions any other busy thread, with its own number in the commands", () => {
    const [known, unknown] = findAll(input([thread(71, "kcompactd0", 90), thread(72, "kmystery", 60)]));
    expect(known?.summary).toContain("kcompactd0 takes 90 %");
    expect(unknown?.check).toEqual(["cat /proc/72/stack"]);
  });
});

describe("cpuMask", () => {
  it.each([
    [1, "1"],
    [4, "f"],
    [32, "ffffffff"],
    [33, "1,ffffffff"],
    [64, "ffffffff,ffffffff"],
  ])("%i CPUs are %s", (cpus, mask) => expect(cpuMask(cpus)).toBe(mask));
});
