import * as fc from "fast-check";
import ipaddr from "ipaddr.js";
import { describe, expect, it } from "vitest";
import { parseProcSockets } from "../../../src/evidence/net/parse/proc-sockets.ts";
import { parseSs, toListener } from "../../../src/evidence/net/parse/ss.ts";
import { AFTER, readSection } from "./fixtures.ts";

const HEADER =
  "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const endpoint = (address: string): string | undefined => {
  const line = `  10: ${address} 00000000:0000 07 00000000:00000F00 00:00000000 00000000   999        0 7 2 00000000 12`;
  return parseProcSockets(HEADER + line).value[0]?.local;
};

describe("/proc/net/{udp,raw}", () => {
  it("reads the recorded socket that does not read", () => {
    const { value, unread } = parseProcSockets(readSection(AFTER, "evsrv", "/proc/net/udp"));
    expect(unread).toBe(0);
    expect(value).toMatchObject([
      {
        family: "ipv4",
        local: "10.88.0.1",
        localPort: 5000,
        state: 7,
        receiveQueue: 3840,
        drops: 17,
        uid: 0,
      },
    ]);
  });

  it("reads a raw socket's protocol as its port", () => {
    expect(parseProcSockets(readSection(AFTER, "evsrv", "/proc/net/raw")).value).toMatchObject([
      { localPort: 89 },
    ]);
  });

  it.each([
    ["0100007F:0016", "127.0.0.1"],
    ["00000000000000000000000000000000:0016", "::"],
    ["00000000000000000000000001000000:0016", "::1"],
    ["0000000000000000FFFF00000100007F:0016", "::ffff:127.0.0.1"],
    ["000080FE00000000FF00FC02010000FE:0016", "fe80::2fc:ff:fe00:1"],
    ["B80D0120000000000000010001000000:0016", "2001:db8::1:0:0:1"],
  ])("reads the address %s", (text, address) => {
    expect(endpoint(text)).toBe(address);
  });

  it("writes any IPv6 address as RFC 5952 has it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 0, 0, 1, 0xfe, 0xff), { minLength: 16, maxLength: 16 }),
        (bytes) => {
          const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0"));
          const words = [0, 4, 8, 12].map((at) =>
            hex
              .slice(at, at + 4)
              .toReversed()
              .join(""),
          );
          const parsed = ipaddr.IPv6.parse(endpoint(`${words.join("")}:0016`) ?? "");
          expect(parsed.toByteArray()).toEqual(bytes);
          // ipaddr.js writes mapped addresses in hexadecimal.
          const text = parsed.isIPv4MappedAddress()
            ? `::ffff:${bytes.slice(12).join(".")}`
            : parsed.toRFC5952String();
          expect(endpoint(`${words.join("")}:0016`)).toBe(text);
        },
      ),
    );
  });

  it("reads the words of a big-endian machine", () => {
    const line = " 1: 7F000001:0016 00000000:0000 07 0:0 00:00000000 00000000 0 0 7 2 0 0";
    expect(parseProcSockets(HEADER + line, false).value).toMatchObject([
      { local: "127.0.0.1", localPort: 22 },
    ]);
  });

  it("counts cut lines", () => {
    expect(parseProcSockets(`${HEADER} 1: 7F000001:0016 0000`)).toEqual({ value: [], unread: 1 });
    expect(endpoint("7F00000:0016")).toBeUndefined();
    expect(endpoint("7F0000017F000001:0016")).toBeUndefined();
  });
});

describe("ss", () => {
  it("reads the recorded listeners with queue, backlog and drops", () => {
    const { value, unread } = parseSs(readSection(AFTER, "evsrv", "ss tcp"));
    expect(unread).toBe(0);
    expect(value.map(toListener)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          address: "10.88.0.1",
          family: "ipv4",
          port: 5001,
          queued: 2,
          backlog: 1,
          drops: 14,
        }),
        expect.objectContaining({ address: "*", family: "both", port: 5003, backlog: 8, cgroup: "/" }),
        expect.objectContaining({ address: "::1", family: "ipv6", port: 5004 }),
      ]),
    );
  });

  it("reads receive buffers of datagram sockets", () => {
    const sockets = parseSs(readSection(AFTER, "evsrv", "ss udp")).value;
    expect(sockets).toContainEqual(expect.objectContaining({ port: 5000, receiveBuffer: 4608, drops: 17 }));
  });

  it("reads device, scope and user, in one line or two", () => {
    const memory = "skmem:(r0,rb131072,t0,tb16384,f0,w0,o0,bl0,d9)";
    const line = `LISTEN 1 128 [fe80::1]%eth0:80 [::]:* uid:998 ino:30 sk:2 cgroup:/system.slice/a.service <->`;
    const expected = {
      local: "fe80::1",
      dev: "eth0",
      port: 80,
      receiveQueue: 1,
      sendQueue: 128,
      inode: 30,
      uid: 998,
      cgroup: "/system.slice/a.service",
      receiveBuffer: 131_072,
      drops: 9,
    };
    expect(parseSs(`${line}\n\t ${memory}\n`).value).toEqual([expected]);
    expect(parseSs(`${line} ${memory}`).value).toEqual([expected]);
  });

  it("does not believe numbers in a cgroup's name", () => {
    const line = "LISTEN 0 1 *:80 *:* ino:30 sk:2 cgroup:/x skmem:(d77) <-> skmem:(r0,rb1,d5)";
    expect(parseSs(line).value).toMatchObject([{ drops: 5, local: "*" }]);
  });

  it("knows no drops where ss is old", () => {
    expect(parseSs("LISTEN 0 1 0.0.0.0:80 0.0.0.0:*").value).toMatchObject([
      { drops: null, inode: null, cgroup: null },
    ]);
    expect(parseSs("LISTEN 0")).toEqual({ value: [], unread: 1 });
  });
});
