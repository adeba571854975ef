import { assert, oneof, property, string, stringMatching } from "fast-check";
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";

import data from "../../../src/catalogue/kernel-threads.json" with { type: "json" };
import { describeKernelThread, describeWorkqueue, explainSoftirq } from "../../../src/catalogue/load.ts";
import type { KernelThreadCatalogue } from "../../../src/catalogue/types.ts";
import { findCommandFaults, HOSTS, readHostLines } from "./commands.ts";

const CATALOGUE: KernelThreadCatalogue = data;
const LISTS = readdirSync(HOSTS).filter((name) => /^kthreads-.+\.txt$/u.test(name));
const NAMES = [...new Set(LISTS.flatMap((list) => readHostLines(list)))];
const VECTORS = "HI TIMER NET_TX NET_RX BLOCK IRQ_POLL TASKLET SCHED HRTIMER RCU".split(" ");

function hasTopLevelAlternative(pattern: string): boolean {
  let depth = 0;
  for (const character of pattern.replaceAll(/\\.|\[[^\]]*\]/gu, "")) {
    if (character === "(") depth += 1;
    if (character === ")") depth -= 1;
    if (character === "|" && depth === 0) return true;
  }
  return false;
}

describe("kernel-threads.json", () => {
  test("there are recordings of five kernels and a list of well-known names", () => {
    expect(LISTS.toSorted()).toEqual([
      "kthreads-5.10.txt",
      "kthreads-6.1.txt",
      "kthreads-6.12.txt",
      "kthreads-6.18.txt",
      "kthreads-7.2.txt",
      "kthreads-well-known.txt",
    ]);
    expect(NAMES.length).toBeGreaterThan(400);
  });

  test.each(LISTS)("every thread in %s has a role", (list) => {
    expect(readHostLines(list).filter((name) => describeKernelThread(name) === null)).toEqual([]);
  });

  test("every work queue seen in a recorded worker's name has a role", () => {
    const queues = NAMES.map((name) => /^kworker\/(?:R-|[u\d:]+H?[-+])(.+)$/u.exec(name)?.[1] ?? null);
    expect(queues.filter((queue) => queue !== null).length).toBeGreaterThan(150);
    const unknown = queues.filter((queue) => queue !== null && describeWorkqueue(queue) === null);
    expect([...new Set(unknown)]).toEqual([]);
  });

  test.each(CATALOGUE.threads.map((entry) => [entry.pattern, entry] as const))(
    "%s is complete",
    (pattern, entry) => {
      expect(pattern).toMatch(/^\^.*\$$/u);
      const groups = new RegExp(`${pattern}|`, "u").exec("")?.length ?? 0;
      expect(entry.captures ?? []).toHaveLength(groups - 1);
      for (const text of [entry.name, entry.role, entry.busyMeans, entry.subsystem])
        expect(text).toMatch(/^\S.*\S$|^\S+$/u);
      expect(entry.role).toMatch(/\.$/u);
      expect(entry.busyMeans).toMatch(/\.$/u);
      expect(entry.check).not.toEqual([]);
      const placeholders = ["pid", ...(entry.captures ?? [])];
      expect(findCommandFaults(entry.check, { placeholders, readOnly: true })).toEqual([]);
    },
  );

  test("no entry is shadowed by one above it: each is the first match of some known name", () => {
    const patterns = CATALOGUE.threads.map((entry) => new RegExp(entry.pattern, "u"));
    const winners = new Set(NAMES.map((name) => patterns.findIndex((pattern) => pattern.test(name))));
    const unreached = CATALOGUE.threads.filter((_entry, index) => !winners.has(index));
    expect(unreached.map((entry) => entry.pattern)).toEqual([]);
  });

  test("no pattern has an alternative at its top level, which would not be anchored", () => {
    expect(CATALOGUE.threads.map((entry) => entry.pattern).filter(hasTopLevelAlternative)).toEqual([]);
    expect(["^a|b$", "^(?:a|b)$"].filter(hasTopLevelAlternative)).toEqual(["^a|b$"]);
  });

  test.each(Object.entries(CATALOGUE.workqueues))("work queue %s is complete", (name, entry) => {
    expect(name).toMatch(/^[\w*/-]+$/u);
    expect(entry.role).toMatch(/^[A-Z].*\.$|^i/u);
    expect(entry.busyMeans ?? "x").not.toBe("");
    expect(findCommandFaults(entry.check ?? [], { placeholders: [], readOnly: true })).toEqual([]);
  });
});

describe("describeKernelThread", () => {
  test.each([
    ["ksoftirqd/3", "ksoftirqd", { cpu: "3" }],
    ["kswapd1", "kswapd", { node: "1" }],
    ["jbd2/dm-0-8", "jbd2", { device: "dm-0", inode: "8" }],
    ["jbd2/nvme0n1p2-", "jbd2", { device: "nvme0n1p2" }],
    ["irq/125-mei_me", "interrupt thread", { irq: "125", device: "mei_me" }],
    ["irq/16-s-mmc0", "secondary interrupt thread", { irq: "16", device: "mmc0" }],
    ["kworker/0:1H-kblockd", "kworker", { cpu: "0", id: "1", highPriority: "H", workqueue: "kblockd" }],
    ["kworker/u8:2+flush-253:0", "kworker (unbound)", { pool: "8", id: "2", workqueue: "flush-253:0" }],
    ["kworker/R-xfs-sync/sda2", "kworker (rescuer)", { workqueue: "xfs-sync/sda2" }],
    ["napi/eth0-8193", "NAPI thread", { device: "eth0", id: "8193" }],
    ["vhost-4711", "vhost", { owner: "4711" }],
    ["md127_raid6", "md RAID", { array: "md127", level: "raid6" }],
    ["ext4-rsv-conver", "work queue stand-by thread", { workqueue: "ext4-rsv-conver" }],
  ])("%s", (comm, name, captures) => {
    expect(describeKernelThread(comm)).toMatchObject({ name, captures });
    expect(describeKernelThread(comm)?.captures).toEqual(captures);
  });

  test("a worker speaks of its queue, a stand-by thread of memory", () => {
    expect(describeKernelThread("kworker/u8:2-writeback")?.role).toContain(
      "Writes changed file data to disk",
    );
    expect(describeKernelThread("kworker/u8:2-writeback")?.busyMeans).toContain("Much is written");
    expect(describeKernelThread("kworker/R-writeback")?.busyMeans).toContain("short of memory");
    expect(describeKernelThread("kworker/3:0-no_such_queue")).toMatchObject({
      captures: { workqueue: "no_such_queue" },
    });
  });

  test("fills what a name says into the commands, but nothing that a shell would interpret", () => {
    expect(describeKernelThread("vhost-4711")?.check).toContain("ps -o pid,comm,args -p 4711");
    const hostile = describeKernelThread("napi/$(reboot)-1");
    expect(hostile?.captures["device"]).toBe("$(reboot)");
    expect(hostile?.check.join("\n")).not.toContain("reboot");
  });

  test.each(["bash", "", "nginx", "ksoftirqd", "ksoftirqd/x", "kworker/", "constructor"])(
    "%s is unknown",
    (comm) => {
      expect(describeKernelThread(comm)).toBeNull();
    },
  );

  test("never throws, and answers quickly, whatever the name", () => {
    assert(
      property(
        oneof(string(), stringMatching(/^(?:kworker\/|btrfs-|jbd2\/|gfx)[\w.:-]{0,200}$/u)),
        (comm) => {
          const found = describeKernelThread(comm);
          expect(found === null || found.role !== "").toBe(true);
        },
      ),
    );
  });
});

describe("explainSoftirq", () => {
  test("knows every vector of /proc/softirqs", () => {
    expect(Object.keys(CATALOGUE.softirqs)).toEqual(VECTORS);
    expect(explainSoftirq("NET_RX")?.meaning).toMatch(/^Receiving packets/u);
    expect(explainSoftirq("toString")).toBeNull();
    for (const entry of Object.values(CATALOGUE.softirqs)) {
      expect(findCommandFaults(entry.check, { placeholders: [], readOnly: true })).toEqual([]);
    }
  });
});
