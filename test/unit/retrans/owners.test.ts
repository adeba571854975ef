import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unpackFlow } from "../../../probes/retrans/flow.ts";
import { findHz, parseHz } from "../../../probes/retrans/jiffies.ts";
import { createOwnerBook } from "../../../probes/retrans/owners.ts";
import { takeTotals } from "../../../probes/retrans/totals.ts";
import { createEvidenceBook } from "../../../src/reduce/evidence-book.ts";

/** 10.91.1.2 → 10.91.2.2:5001, words of a key that Linux 6.18 printed. */
const FLOW = unpackFlow([9877441628157772256n, 0n, 144496765855268864n, 0n, 144778240831979520n]);

function createBook() {
  const evidence = createEvidenceBook(() => {});
  return { evidence, owners: createOwnerBook(evidence) };
}

describe("whose a connection is", () => {
  it("is told by the socket's inode first", () => {
    const { evidence, owners } = createBook();
    evidence.fact({ fact: "owner", key: "4711", value: { pid: 5, comm: "nginx" } });
    owners.sawPid(FLOW, 9173);
    expect(owners.find(FLOW, 4711)).toEqual({ pid: 5, comm: "nginx" });
  });

  it("is told by who held the socket's lock, with its name, whatever that holds", () => {
    const { owners } = createBook();
    owners.sawPid(FLOW, 9173);
    expect(owners.find(FLOW, 0)).toEqual({ pid: 9173, comm: "?" });
    expect(owners.read("P\t9173\tper\tl\n1")).toBe(true);
    expect(owners.find(FLOW, 0)).toEqual({ pid: 9173, comm: "per\tl\n1" });
  });

  it("is told by who closed it after a reset", () => {
    const { owners } = createBook();
    owners.sawReset(FLOW, 1532389648583n);
    expect(owners.find(FLOW, 0)).toBeNull();
    expect(owners.read("O\t1532389648583\t9174\tcurl")).toBe(true);
    expect(owners.find(FLOW, 0)).toEqual({ pid: 9174, comm: "curl" });
    // A number nobody knows names a process and no connection.
    expect(owners.read("O\t1\t9175\twget")).toBe(true);
  });

  it("reads no other text", () => {
    const { owners } = createBook();
    fc.assert(
      fc.property(fc.string(), fc.constantFrom("P", "O"), (text, tag) => {
        expect(owners.read(`${tag}\t${text.replaceAll(/\d/g, "")}`)).toBe(false);
      }),
    );
  });
});

describe("the kernel's HZ", () => {
  it.each([100, 250, 300, 1000])("%i, before and after jiffies wrap", (hz) => {
    for (const seconds of [20, 1532, 90_000, 40_000_000]) {
      const jiffies = Math.round(hz * (seconds - 300)) % 2 ** 32;
      const words = (jiffies + 2 ** 32) % 2 ** 32;
      expect(findHz(words, BigInt(seconds) * 1_000_000_000n)).toBe(hz);
    }
  });

  it("is not guessed when several rates fit", () => {
    expect(findHz(0, 300_000_000_000n)).toBeNull();
    expect(findHz(77, 1532_000_000_000n)).toBeNull();
    expect(parseHz("J\tx\ty")).toBeNull();
    expect(parseHz("J\t123220\t1532200000000")).toBe(100);
  });
});

describe("totals", () => {
  const exact = {
    events: 12,
    segments: 70,
    byKind: { rto: 10, fast: 60, tlp: 0, syn: 0, synack: 0, other: 0 },
    sent: 4,
    received: 1,
  };

  it("say what found no place in the table of connections", () => {
    expect(takeTotals(exact, [], [], null)).toEqual({
      ...exact,
      unattributed: 70,
      unattributedResets: 5,
      ofUnknown: 0,
    });
  });

  it("are the rows' when a process was asked for", () => {
    expect(takeTotals(exact, [], [], 3)).toMatchObject({
      segments: 0,
      sent: 0,
      unattributed: 0,
      ofUnknown: 3,
    });
  });
});
