import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRetransCounters } from "../../../probes/retrans/counters.ts";
import { unpackReset, unpackRetransmit } from "../../../probes/retrans/flow.ts";
import { parseSample as parseDropSample } from "../../../probes/drops/stacks.ts";
import { parseEvent, parseSample } from "../../../probes/retrans/samples.ts";
import type { Message } from "../../../src/wire/message.ts";

/** Words of a key that a run on Linux 6.18 printed: 10.0.0.2:9091 → 10.0.0.9 and the other way. */
const FLOW = "5764713818911408702,0,648518393585926144,0,144115235320430592";

const map = (name: string, ...entries: [string, number | bigint][]): Message => ({
  kind: "map",
  name,
  entries: entries.map(([key, value]) => ({ key, value })),
});

describe("counters of retransmits", () => {
  it("adds up differences of events and segments", () => {
    const counters = createRetransCounters();
    counters.read(map("@seg", [`258,${FLOW}`, (2n << 40n) + 9n]));
    const [row] = [...counters.retransmits.values()];
    expect(row).toMatchObject({
      kind: "fast",
      state: "ESTABLISHED",
      events: 2,
      segments: 9,
      freshSegments: 9,
    });
    counters.settle();
    counters.read(map("@seg", [`258,${FLOW}`, (3n << 40n) + 53n]));
    expect(row).toMatchObject({ events: 3, segments: 53, freshEvents: 1, freshSegments: 44 });
  });

  it("reads addresses, ports and namespace of a key", () => {
    const counters = createRetransCounters();
    counters.read(map("@seg", [`258,${FLOW}`, 1n << 40n]));
    const flow = [...counters.retransmits.values()][0]?.flow;
    expect(flow?.source).toMatch(/^10\./);
    expect(flow?.destination).toMatch(/^10\./);
    expect(flow?.netns).toBeGreaterThan(0xf000_0000);
  });

  it("joins the latest facts of a socket by its flow, whatever sign its words are printed with", () => {
    const counters = createRetransCounters();
    const signed = "-4835652134932315473,0,144115235320430592,0,648518393585926144";
    counters.read(map("@seg", [`2817,${signed}`, (1n << 40n) + 1n]));
    counters.read(map("@own", [signed, 4_419_521_347_584n]));
    counters.read(map("@rtt", [signed, (10n << 32n) + 1500n]));
    counters.read(map("@win", [signed, (3n << 32n) + 0x7fff_ffffn]));
    const flow = [...counters.retransmits.values()][0]?.flow;
    expect(flow && counters.socket(flow)).toEqual({
      inode: 0,
      rto: null,
      timeouts: 5,
      congestion: "Loss",
      rttMs: 1.5,
      cwnd: 10,
      ssthresh: null,
      inFlight: 3,
    });
  });

  it("remembers whose a socket was once nobody has it, and how long it waits", () => {
    const counters = createRetransCounters();
    counters.read(map("@seg", [`257,${FLOW}`, (1n << 40n) + 1n]));
    counters.read(map("@own", [FLOW, (100n << 48n) + 4711n]));
    counters.read(map("@own", [FLOW, 200n << 48n]));
    const flow = [...counters.retransmits.values()][0]?.flow;
    expect(flow && counters.socket(flow)).toMatchObject({ inode: 4711, rto: 400 });
  });

  it("has totals that do not need the tables of flows", () => {
    const counters = createRetransCounters();
    counters.read(map("@total", ["2", (3n << 40n) + 50n], ["4", (1n << 40n) + 1n]));
    counters.read(map("@total", ["2", (4n << 40n) + 60n]));
    counters.read(map("@resets", ["1", 7], ["2", 9]));
    expect(counters.totals).toEqual({
      events: 5,
      segments: 61,
      byKind: { rto: 0, fast: 60, tlp: 0, syn: 1, synack: 0, other: 0 },
      sent: 7,
      received: 9,
    });
    expect(counters.malformed).toBe(0);
  });

  it("keeps what could not be sent apart from what was", () => {
    const counters = createRetransCounters();
    counters.read(map("@unsent", [`4294967280,${FLOW}`, 3]));
    counters.read(map("@failed", [`4294967295,${FLOW}`, 2]));
    expect(
      [...counters.failures.values()].map(({ error, isCounted, count }) => [error, isCounted, count]),
    ).toEqual([
      [-16, false, 3],
      [-1, true, 2],
    ]);
    expect(counters.retransmits.size).toBe(0);
  });

  it("counts what it cannot read, and never throws", () => {
    const counters = createRetransCounters();
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom("@seg", "@rst", "@own", "@unsent", "@x"),
        fc.integer(),
        (key, name, value) => {
          counters.read(map(name, [key, value]));
        },
      ),
    );
    const before = counters.malformed;
    counters.read(map("@seg", ["no,key", 1]));
    expect(counters.malformed).toBe(before + 1);
  });
});

describe("packed words", () => {
  it("tells kind and state", () => {
    expect(unpackRetransmit(4 | (2 << 8))).toEqual({ kind: "syn", state: "SYN_SENT" });
    expect(unpackRetransmit(5 | (12 << 8))).toEqual({ kind: "synack", state: "SYN_RECV" });
    expect(unpackRetransmit(250)).toEqual({ kind: "other", state: null });
  });

  it("tells a reset without a reason from reason 0", () => {
    expect(unpackReset(1 | (1 << 16))).toEqual({ direction: "sent", reason: 0, state: null });
    expect(unpackReset((2 << 16) | (2 << 24))).toEqual({
      direction: "received",
      reason: null,
      state: "SYN_SENT",
    });
  });
});

describe("records of the program", () => {
  it("reads a sample with its stack, root first", () => {
    const sample = parseSample(
      `S\t257\t${FLOW.replaceAll(",", "\t")}\t4711\t812\t\n\ttcp_retransmit_timer+5\n\tcall_timer_fn+41\n`,
    );
    expect(sample?.frames).toEqual(["call_timer_fn", "tcp_retransmit_timer"]);
    expect(sample).toMatchObject({ socket: 4711, pid: 812, number: 0n });
    expect(sample?.what).toEqual({ retransmit: { kind: "rto", state: "ESTABLISHED" } });
  });

  it("reads a sample of the first recordings, without pid and number", () => {
    const text = `T\t16908288\t${FLOW.replaceAll(",", "\t")}\t4711\t\n\ttcp_reset+135\n`;
    expect(parseSample(text)).toMatchObject({ socket: 4711, pid: 0, number: 0n, frames: ["tcp_reset"] });
  });

  it("reads an event that did not leave the host", () => {
    const event = parseEvent(`E\t5000000\t516\t${FLOW.replaceAll(",", "\t")}\t0\t4294967280\t0\t0\t0\t31`);
    expect(event).toMatchObject({ type: "retransmit", seconds: 0.005, segments: 0, error: -16, pid: 31 });
  });

  it("gives null for anything else", () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom("S", "T", "E", "X", "D"), (text, tag) => {
        const rest = text.replaceAll(/\d/g, "");
        expect(parseSample(`${tag}\t${rest}`)).toBeNull();
        expect(parseEvent(`${tag}\t${rest}`)).toBeNull();
        expect(parseDropSample(`${tag}\t${rest}`, "D")).toBeNull();
      }),
    );
  });
});
