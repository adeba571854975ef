import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { NetnsInfo } from "../../../src/host/namespaces.ts";
import { parseProcNet } from "../../../src/host/proc-net.ts";
import { createSocketDirectory } from "../../../src/host/sockets.ts";
import { makeTree, type Entry } from "./tree.ts";
import { anyText } from "./any-text.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const REST = "00000000:00000000 00:00000000 00000000  1000        0";
const TCP = `${HEAD}   0: 0100007F:1F90 00000000:0000 0A ${REST} 501 1 0000000000000000 100 0 0 10 0
   1: 0200000A:1F90 0300000A:C350 01 ${REST} 502 1 0000000000000000 20 4 30 10 -1
`;
const TCP6 = `${HEAD}   0: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A ${REST} 503 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000200000A:1F90 0000000000000000FFFF00000300000A:C351 01 ${REST} 504 1 0 100 0 0 10 0
`;
const UDP = `  777: 00000000:0035 00000000:0000 07 ${REST} 505 2 0000000000000000 0
`;

const NETNS: NetnsInfo = {
  inode: 1,
  name: "srv",
  kind: "named",
  path: "/run/netns/srv",
  pid: 20,
  comm: "x",
  container: null,
};

function openFiles(pid: number, links: readonly string[]): Record<string, Entry> {
  return {
    [`proc/${pid}/comm`]: `p${pid}\n`,
    ...Object.fromEntries(links.map((link, fd) => [`proc/${pid}/fd/${fd}`, { link }])),
  };
}

const MACHINE = {
  ...openFiles(20, ["/dev/null", "socket:[501]", "socket:[505]"]),
  ...openFiles(9, ["socket:[501]", "anon_inode:[eventpoll]", "pipe:[501]"]),
  "proc/20/net/tcp": TCP,
  "proc/20/net/tcp6": TCP6,
  "proc/20/net/udp": UDP,
};

describe("/proc/net", () => {
  test("addresses of both families", () => {
    expect(parseProcNet(TCP)).toEqual([
      {
        address: "127.0.0.1",
        port: 8080,
        remoteAddress: "0.0.0.0",
        remotePort: 0,
        state: 10,
        uid: 1000,
        inode: 501,
      },
      {
        address: "10.0.0.2",
        port: 8080,
        remoteAddress: "10.0.0.3",
        remotePort: 50_000,
        state: 1,
        uid: 1000,
        inode: 502,
      },
    ]);
    expect(parseProcNet(TCP6).map(({ address }) => address)).toEqual(["::", "::ffff:10.0.0.2"]);
  });

  test("any text: no throw", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        // What is readable before the rubbish stays readable.
        expect(parseProcNet(`${TCP}${text}\n${text}`).slice(0, 2)).toEqual(parseProcNet(TCP));
      }),
    );
  });
});

describe("who", () => {
  test("the lowest process that holds the socket", async () => {
    const sockets = createSocketDirectory({ root: makeTree(MACHINE) });
    expect(await sockets.ownerOf(501)).toEqual({ pid: 9, comm: "p9" });
    expect(await sockets.ownerOf(505)).toEqual({ pid: 20, comm: "p20" });
    expect(await sockets.ownerOf(404)).toBeNull();
    expect(sockets.isTruncated()).toBe(false);
  });

  test("who listens on a port", async () => {
    const sockets = createSocketDirectory({ root: makeTree(MACHINE) });
    expect(await sockets.findListeners(NETNS, "tcp", 8080)).toEqual([
      {
        protocol: "tcp",
        address: "127.0.0.1",
        port: 8080,
        uid: 1000,
        inode: 501,
        owner: { pid: 9, comm: "p9" },
      },
    ]);
    expect((await sockets.findListeners(NETNS, "tcp")).map(({ port }) => port)).toEqual([8080, 8081]);
    expect(await sockets.findListeners(NETNS, "udp", 53)).toMatchObject([{ inode: 505, owner: { pid: 20 } }]);
    expect(await sockets.findListeners(NETNS, "tcp", 1)).toEqual([]);
    expect(await sockets.findListeners({ ...NETNS, pid: null }, "tcp")).toEqual([]);
  });

  test("a socket newer than the scan is found by the next one, which those who ask share", async () => {
    const root = makeTree(MACHINE);
    const { symlinkSync } = await import("node:fs");
    const pauses: number[] = [];
    const sockets = createSocketDirectory({
      root,
      now: () => 100,
      sleep: async (seconds) => {
        pauses.push(seconds);
        await Promise.resolve();
      },
    });
    expect(await sockets.ownerOf(600)).toBeNull();
    symlinkSync("socket:[600]", `${root}/proc/20/fd/9`);
    symlinkSync("socket:[601]", `${root}/proc/20/fd/10`);
    expect(await Promise.all([600, 601, 602].map((inode) => sockets.ownerOf(inode)))).toEqual([
      { pid: 20, comm: "p20" },
      { pid: 20, comm: "p20" },
      null,
    ]);
    // Known ones, and the kernel's own, need no scan.
    expect(await sockets.ownerOf(501)).toEqual({ pid: 9, comm: "p9" });
    expect(await sockets.ownerOf(0)).toBeNull();
    expect(pauses).toHaveLength(1);
    expect(pauses[0]).toBeGreaterThan(0);
  });

  test("a scan is bounded and says so", async () => {
    const sockets = createSocketDirectory({ root: makeTree(MACHINE), maxDescriptors: 4 });
    expect(await sockets.ownerOf(505)).toBeNull();
    expect(sockets.isTruncated()).toBe(true);
    expect(await sockets.ownerOf(501)).toEqual({ pid: 9, comm: "p9" });
  });
});
