import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatDeviceNumber,
  nameDisk,
  parseMountinfo,
  parseNetDev,
  parseReclaim,
  parseSchedstat,
  parseSwitches,
  parseThreadStat,
} from "../../../src/evidence/kthreads/parse.ts";

// Linux 6.18.
const STAT =
  "14 (ksoftirqd/0) S 2 0 0 0 -1 69238848 0 0 0 0 12 345 0 0 20 0 1 0 17 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
const MOUNTS = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,resuid=65534
23 22 0:21 / /proc rw,relatime - proc proc rw
30 22 253:1 / /srv/my\\040data rw shared:1 - xfs /dev/mapper/vg-data rw
31 22 253:1 / /again rw shared:1 - xfs /dev/mapper/vg-data rw
32 22 0:45 /sub /btr rw - btrfs /dev/sdb1 rw`;
const NET = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1234      12    0    0    0     0          0         0     1234      12    0    0    0     0       0          0
veth@a:0:99 3 0    0    0     0          0         0     1234      12    0    0    0     0       0          0`;

describe("what /proc says of kernel threads", () => {
  it("reads a kernel thread's times and no other process", () => {
    expect(parseThreadStat(STAT)).toEqual({ pid: 14, name: "ksoftirqd/0", cpuSeconds: 3.57, started: 17 });
    expect(parseThreadStat(STAT.replace("69238848", "4194304"))).toBeNull();
    expect(parseThreadStat(STAT.replace("ksoftirqd/0", "a) S (b"))?.name).toBe("a) S (b");
  });

  it("reads the scheduler's account and the switches", () => {
    expect(parseSchedstat("2902085057 64578103075 72922\n")).toBe(2.902085057);
    expect(parseSchedstat("")).toBeNull();
    expect(
      parseSwitches("Name:\tx\nvoluntary_ctxt_switches:\t66536\nnonvoluntary_ctxt_switches:\t6386\n"),
    ).toEqual({ voluntary: 66_536, involuntary: 6386 });
    expect(parseSwitches("")).toEqual({ voluntary: null, involuntary: null });
  });

  it("finds mounted disks by number and by the name threads have", () => {
    const mounts = parseMountinfo(MOUNTS);
    expect(mounts.map(({ number, path }) => [number, path])).toEqual([
      ["254:0", "/"],
      ["253:1", "/srv/my data"],
      ["0:45", "/btr"],
    ]);
    const [root, data] = mounts.map((mount) => nameDisk(mount, mount.number === "253:1" ? "dm-1" : null));
    expect(root).toEqual({ number: "254:0", device: "vda", path: "/", type: "ext4" });
    expect(data?.device).toBe("dm-1");
    expect(formatDeviceNumber(254 * 2 ** 20)).toBe("254:0");
  });

  it("reads received packets, also of a device with a colon in its name", () => {
    expect(parseNetDev(NET, "blue")).toEqual([
      { netns: "blue", device: "lo", packets: 12 },
      { netns: "blue", device: "veth@a:0", packets: 3 },
    ]);
  });

  it("reads the counters of reclaim only", () => {
    expect(parseReclaim("nr_free_pages 5\npgscan_kswapd 7\nallocstall_normal 2\npgscan_direct x\n")).toEqual({
      pgscan_kswapd: 7,
      allocstall_normal: 2,
    });
  });

  it("never throws", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseThreadStat(text);
        parseSchedstat(text);
        parseSwitches(text);
        parseMountinfo(text);
        parseNetDev(text, null);
        parseReclaim(text);
      }),
    );
  });
});
