import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createDropCounters } from "../../../probes/drops/counters.ts";
import { parseFlowKey, protocolName } from "../../../src/reduce/packet-flow.ts";
import { parseEvent } from "../../../probes/drops/events.ts";
import type { MapEntry } from "../../../src/wire/message.ts";

const map = (name: string, entries: MapEntry[]) => ({ kind: "map" as const, name, entries });

// Recorded on 6.18 with bpftrace 0.17: a UDP datagram 10.77.0.1:51837 → 10.77.0.2:9999 dropped by netfilter at INPUT.
const KEY = (() => {
  const what = 12n | (17n << 32n) | (2n << 40n) | (0x0800n << 48n);
  const site = 0x81fbe3ffn | (7n << 32n);
  const ports =
    BigInt(((51_837 & 0xff) << 8) | (51_837 >> 8)) | (BigInt(((9999 & 0xff) << 8) | (9999 >> 8)) << 16n);
  const place = 4_026_532_246n | (ports << 32n);
  const addresses = 0x01004d0an | (0x02004d0an << 32n);
  // bpftrace prints 64-bit words signed.
  return [what, site, place, addresses].map((word) => BigInt.asIntN(64, word).toString()).join(",");
})();

describe("flow keys", () => {
  test("words of an IPv4 datagram", () => {
    const key = parseFlowKey(KEY, 4);
    expect(key).toMatchObject({
      reason: 12,
      l4: 17,
      hook: "INPUT",
      ethertype: 0x0800,
      site: 0x81fbe3ff,
      ifindex: 7,
      netns: 4_026_532_246,
      source: "10.77.0.1",
      sourcePort: 51_837,
      destination: "10.77.0.2",
      destinationPort: 9999,
      icmp: null,
    });
    expect(key === null ? null : protocolName(key)).toBe("udp");
  });

  test("IPv6 addresses, a mapped one as IPv4, ICMP type and code", () => {
    const what = 2n | (58n << 32n) | (0x86ddn << 48n);
    const text = [
      what,
      0n,
      4_026_532_246n | (0x0186n << 32n),
      0n,
      0x0100_0a0a_ffff_0000n,
      0x02ffn,
      0x0200_0000_0000_0000n,
    ].join(",");
    expect(parseFlowKey(text, 6)).toMatchObject({
      source: "10.10.0.1",
      destination: "ff02::2",
      icmp: { type: 0x86, code: 1 },
      sourcePort: null,
    });
  });

  test("any text is a key or null, never an exception", () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(4 as const, 6 as const), (text, family) => {
        parseFlowKey(text, family);
      }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), { minLength: 7, maxLength: 7 }),
        (words) => {
          expect(parseFlowKey(words.join(","), 6)).not.toBeNull();
          expect(parseFlowKey(words.slice(0, 4).join(","), 4)).not.toBeNull();
        },
      ),
    );
  });
});

describe("drop counters", () => {
  test("differences of cumulative sums, exact beyond 2^53 and across the wrap of 64 bits", () => {
    const batches = fc.array(fc.tuple(fc.nat(60_000_000), fc.nat(2 ** 31)), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(batches, fc.boolean(), (steps, signed) => {
        const counters = createDropCounters();
        let sum = 0n;
        let packets = 0;
        let bytes = 0;
        for (const [count, size] of steps) {
          sum = BigInt.asUintN(64, sum + (BigInt(count) << 38n) + BigInt(size));
          packets += count;
          bytes += size;
          const value = signed ? BigInt.asIntN(64, sum) : sum;
          expect(counters.read(map("@flow4", [{ key: KEY, value }]))).toBe(true);
        }
        const [flow] = [...counters.flows];
        expect([flow?.count, flow?.bytes]).toEqual([packets, bytes]);
      }),
    );
  });

  test("what is fresh is what came since the last interval", () => {
    const counters = createDropCounters();
    counters.read(map("@flow4", [{ key: KEY, value: (5n << 38n) + 500n }]));
    counters.settle();
    counters.read(map("@flow4", [{ key: KEY, value: (7n << 38n) + 700n }]));
    expect([...counters.flows]).toMatchObject([{ count: 7, bytes: 700, freshCount: 2, freshBytes: 200 }]);
  });

  test("totals per reason come from scalars and from the rest; unused scalars are no reason", () => {
    const counters = createDropCounters();
    counters.read(map("@hot_12", [{ key: null, value: 400_000 }]));
    counters.read(map("@hot_3", [{ key: null, value: 0 }]));
    counters.read(map("@other", [{ key: "104", value: 3 }]));
    expect([...counters.totals]).toEqual([
      [12, 400_000],
      [104, 3],
    ]);
    expect(counters.read(map("@budget", []))).toBe(false);
  });

  test("counts from the first print of each map on, once the run has begun", () => {
    const counters = createDropCounters();
    expect(counters.hasPrint).toBe(false);
    counters.read(map("@hot_12", [{ key: null, value: 5 }]));
    counters.read(map("@flow4", [{ key: KEY, value: (5n << 38n) + 500n }]));
    counters.read(map("@hot_12", [{ key: null, value: 7 }]));
    // Not printed in the first round, so it was empty then.
    counters.read(map("@other", [{ key: "104", value: 3 }]));
    counters.read(map("@flow4", [{ key: KEY, value: (7n << 38n) + 700n }]));
    counters.begin();
    expect([...counters.totals]).toEqual([
      [12, 2],
      [104, 3],
    ]);
    expect([...counters.flows]).toMatchObject([{ count: 2, bytes: 200, freshCount: 2, freshBytes: 200 }]);
    counters.read(map("@hot_12", [{ key: null, value: 9 }]));
    counters.begin();
    expect(counters.totals.get(12)).toBe(4);
  });

  /** Of `@floods`: whose packets a scalar counts. */
  const owner = (number: number, cpu: number, length: number): MapEntry => ({
    key: `${cpu},${KEY},${length}`,
    value: number,
  });

  test("a flow's packets in scalars count with those in its table, in flows, bytes and totals", () => {
    const counters = createDropCounters();
    counters.read(map("@hot_12", [{ key: null, value: 5 }]));
    counters.read(map("@flood_1", [{ key: null, value: 100 }]));
    counters.read(map("@flood_2", [{ key: null, value: 0 }]));
    counters.read(map("@flood_9", [{ key: null, value: 10 }]));
    expect(counters.totals.get(12)).toBe(5);
    counters.read(map("@floods", [owner(1, 0, 92), owner(9, 1, 1500)]));
    counters.read(map("@flow4", [{ key: KEY, value: (5n << 38n) + 460n }]));
    expect(counters.totals.get(12)).toBe(115);
    expect([...counters.flows]).toMatchObject([{ count: 115, bytes: 460 + 9200 + 15_000, freshCount: 115 }]);
    expect(counters.malformed).toBe(0);
    counters.settle();
    counters.read(map("@flood_1", [{ key: null, value: 101 }]));
    counters.read(map("@floods", [owner(1, 0, 92), owner(9, 1, 1500)]));
    expect([...counters.flows]).toMatchObject([{ count: 116, freshCount: 1, freshBytes: 92 }]);
  });

  test("what a scalar held at the first print is forgotten when the run begins", () => {
    const counters = createDropCounters();
    for (const [hot, flood, sum] of [
      [5n, 100n, (5n << 38n) + 460n],
      [6n, 130n, (6n << 38n) + 552n],
    ] as const) {
      counters.read(map("@hot_12", [{ key: null, value: hot }]));
      counters.read(map("@flood_1", [{ key: null, value: flood }]));
      counters.read(map("@floods", [owner(1, 0, 92)]));
      counters.read(map("@flow4", [{ key: KEY, value: sum }]));
    }
    counters.begin();
    expect([...counters.totals]).toEqual([[12, 31]]);
    expect([...counters.flows]).toMatchObject([{ count: 31, bytes: 31 * 92 }]);
  });

  test("however packets are spread over scalars and prints, they add up", () => {
    const prints = fc.array(fc.tuple(fc.nat(3), fc.nat(1e6)), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(prints, fc.nat(29), (steps, namedAt) => {
        const counters = createDropCounters();
        const held = [0, 0, 0, 0];
        for (const [index, [number, count]] of steps.entries()) {
          held[number] = (held[number] ?? 0) + count;
          counters.read(map(`@flood_${number + 1}`, [{ key: null, value: held[number] }]));
          if (index >= namedAt)
            counters.read(
              map(
                "@floods",
                [1, 2, 3, 4].map((n) => owner(n, n, 100 * n)),
              ),
            );
        }
        counters.read(
          map(
            "@floods",
            [1, 2, 3, 4].map((n) => owner(n, n, 100 * n)),
          ),
        );
        const packets = held.reduce((sum, count) => sum + count, 0);
        const bytes = held.reduce((sum, count, index) => sum + count * 100 * (index + 1), 0);
        expect(counters.totals.get(12) ?? 0).toBe(packets);
        const [flow] = [...counters.flows];
        expect([flow?.count ?? 0, flow?.bytes ?? 0]).toEqual([packets, bytes]);
      }),
    );
  });

  test("without a print before the run begins everything counts", () => {
    const counters = createDropCounters();
    counters.begin();
    counters.read(map("@hot_12", [{ key: null, value: 5 }]));
    counters.read(map("@hot_12", [{ key: null, value: 7 }]));
    expect([...counters.totals]).toEqual([[12, 7]]);
  });

  test("unreadable entries are counted, not thrown", () => {
    const counters = createDropCounters();
    counters.read(
      map("@flow4", [
        { key: "1,2", value: 3 },
        { key: KEY, value: "x" },
        { key: null, value: 3 },
      ]),
    );
    counters.read(map("@other", [{ key: "x", value: 3 }]));
    counters.read(map("@flood_1", [{ key: null, value: "x" }]));
    counters.read(
      map("@floods", [
        { key: "1,2", value: 1 },
        { key: null, value: 1 },
      ]),
    );
    expect(counters.malformed).toBe(7);
  });
});

describe("event records", () => {
  const line = `E4\t1234567890123\t${12n | (6n << 32n) | (2n << 40n) | (0x0800n << 48n)}\t-2113151999\t7\t4026532246\t${0x5000n << 16n}\t60\t42\t2\t144199893437664522\tc0\tnft_do_chain+1135\t`;
  test("numbers, device, call site; the name comes last and may hold anything", () => {
    for (const comm of ["nginx", "a\tb", "x\ny", "", "\u001b[31m"]) {
      expect(parseEvent(line + comm)).toMatchObject({
        seconds: 1234.56789,
        length: 60,
        tcpFlags: "SYN",
        pid: 42,
        comm,
        dev: "c0",
        symbol: "nft_do_chain",
        key: { destinationPort: 80, destination: "10.77.0.2" },
      });
    }
  });
  test("anything else is null", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseEvent(`E4\t${text.replaceAll("\t", " ")}`)).toBeNull();
      }),
    );
  });
});
