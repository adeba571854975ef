import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseMounts, readCgroupLayout } from "../../../src/host/mounts.ts";
import {
  countCpus,
  parseAuxv,
  parseCapabilities,
  parseIsRoot,
  parseMemlock,
} from "../../../src/host/process-limits.ts";
import { anyText } from "./any-text.ts";

describe("mounts", () => {
  test("escaped paths and options", () => {
    expect(parseMounts("tmpfs /mnt/a\\040b\\134c tmpfs rw,size=1k 0 0\nrubbish\n")).toEqual([
      { path: "/mnt/a b\\c", type: "tmpfs", options: ["rw", "size=1k"] },
    ]);
  });

  test("cgroup v1 with the usual options of SELinux machines", () => {
    const layout = readCgroupLayout(
      parseMounts(
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,seclabel,nosuid,relatime,cpu,cpuacct 0 0\n" +
          "cgroup /sys/fs/cgroup/memory cgroup rw,seclabel,nosuid,memory 0 0\n" +
          "cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,release_agent=/x,name=systemd 0 0\n" +
          "cgroup /in/container/memory cgroup rw,memory 0 0\n",
      ),
    );
    expect(layout).toEqual({
      mode: "v1",
      unified: null,
      controllers: {
        cpu: "/sys/fs/cgroup/cpu,cpuacct",
        cpuacct: "/sys/fs/cgroup/cpu,cpuacct",
        memory: "/sys/fs/cgroup/memory",
        "name=systemd": "/sys/fs/cgroup/systemd",
      },
      memory: "/sys/fs/cgroup/memory",
    });
  });

  test("hybrid: the memory controller decides where limits are", () => {
    const v2 = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
    const memory = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
    expect(readCgroupLayout(parseMounts(v2 + memory))).toMatchObject({
      mode: "hybrid",
      memory: "/sys/fs/cgroup/memory",
    });
    expect(readCgroupLayout(parseMounts(v2))).toMatchObject({ mode: "v2", memory: "/sys/fs/cgroup/unified" });
    expect(readCgroupLayout([]).mode).toBeNull();
  });

  test("any text: no throw", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect([null, "v1", "v2", "hybrid"]).toContain(readCgroupLayout(parseMounts(text)).mode);
      }),
    );
  });
});

describe("this process", () => {
  test("capabilities", () => {
    const { CAP_SYS_RESOURCE, CAP_BPF, CAP_SYS_ADMIN } = parseCapabilities(
      "CapPrm:\t0\nCapEff:\t000001fffeffffff\n",
    );
    expect({ CAP_SYS_RESOURCE, CAP_BPF, CAP_SYS_ADMIN }).toEqual({
      CAP_SYS_RESOURCE: false,
      CAP_BPF: true,
      CAP_SYS_ADMIN: true,
    });
    expect(Object.values(parseCapabilities(""))).not.toContain(true);
  });

  test("the effective user counts", () => {
    expect(parseIsRoot("Name:\tx\nUid:\t1000\t0\t0\t0\n")).toBe(true);
    expect(parseIsRoot("Uid:\t0\t1000\t0\t0\n")).toBe(false);
  });

  test("locked memory", () => {
    expect(parseMemlock("Max locked memory         65536   65536   bytes     \n")).toBe(65_536);
    expect(parseMemlock("Max locked memory         unlimited   unlimited   bytes\n")).toBe("unlimited");
    expect(parseMemlock("Max file locks            unlimited\n")).toBeNull();
  });

  test.each([
    ["0\n", 1],
    ["0-3,8\n", 5],
    ["0-127", 128],
    ["", null],
    ["3-1", null],
    ["a", null],
  ])("processors %j", (list, count) => {
    expect(countCpus(list)).toBe(count);
  });

  test("auxiliary vector: any bytes, no throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(parseAuxv(Buffer.from(bytes)).pageSize).not.toBe(0);
      }),
    );
  });
});
