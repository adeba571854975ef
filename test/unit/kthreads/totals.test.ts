import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseContext } from "../../../probes/kthreads/contexts.ts";
import { toLowWord, TotalsReader } from "../../../probes/kthreads/totals.ts";

const entries = (record: Record<string, number>) =>
  Object.entries(record).map(([key, value]) => ({ key, value }));

describe("TotalsReader", () => {
  it("gives what was counted between two moments", () => {
    const totals = new TotalsReader();
    for (let at = 0; at <= 10; at++) {
      totals.read("@softirq_ns", entries({ "1,3,1": 5e8 * at, "0,9,0": 1e6 * at }), at);
      totals.read("@softirq_n", entries({ "1,3,1": 100 * at }), at);
      totals.read("@napi_work", entries({ "1,eth0": 64 * at, "0,(no_device)": at }), at);
      totals.read("@napi_full", entries({ "1,eth0": at }), at);
    }
    const { softirq, napi } = totals.between(2, 8);
    expect(softirq.get("1,3,1")).toEqual({ seconds: 3, count: 600 });
    expect(napi.get("1,eth0")).toEqual({ packets: 384, polls: 0, full: 6 });
    expect(napi.get("0,")).toMatchObject({ packets: 6 });
  });

  it("counts what happened once, and what was in no map before", () => {
    const totals = new TotalsReader();
    for (let at = 0; at <= 10; at++) {
      totals.read("@softirq_n", entries({ "1,3,1": at, ...(at > 5 ? { "0,3,1": 7 } : {}) }), at);
      if (at > 5) totals.read("@waker", entries({ "556": 1 }), at + 0.1);
    }
    const { softirq, kswapdCallers } = totals.between(2, 8);
    expect(softirq.get("0,3,1")?.count).toBe(7);
    expect(kswapdCallers).toEqual(new Map([[556, 1]]));
    expect(totals.between(8, 10).kswapdCallers).toEqual(new Map());
    expect(totals.between(0, 4).kswapdCallers).toEqual(new Map());
  });

  it("names work functions by the low half of their address, whatever sign it is printed with", () => {
    const totals = new TotalsReader();
    totals.read("@work_ns", entries({ "17391,-2127006720": 2e9 }), 1);
    totals.read("@work_n", entries({ "17391,18446744071582544896": 4, "5,0xffffffff81387410": 1 }), 1);
    const { work } = totals.between(null, null);
    expect(work.get("17391,2167960576")).toEqual({ seconds: 2, count: 4 });
    expect(totals.functions()).toEqual(new Set(["2167960576", "2167960592"]));
    expect(toLowWord("x")).toBeNull();
  });

  it("reads devices with commas in their names, and brackets that a release took away", () => {
    const totals = new TotalsReader();
    totals.read("@napi_n", entries({ "1,a,b": 3, "0,no_device": 1 }), 1);
    expect([...totals.between(null, null).napi.keys()]).toEqual(["1,a,b", "0,"]);
  });

  it("leaves other maps alone and counts what it cannot read", () => {
    const totals = new TotalsReader();
    expect(totals.read("@idle", [{ key: null, value: 1 }], 1)).toBe(false);
    expect(totals.read("constructor", [], 1)).toBe(false);
    totals.read("@fsync", [{ key: null, value: 1 }, ...entries({ "1": 1, "5,x": 1 })], 1);
    expect(totals.malformed).toBe(3);
  });

  it("never throws", () => {
    const names = fc.constantFrom("@softirq_n", "@napi_n", "@work_n", "@waker", "@commit_n", "@fsync");
    fc.assert(
      fc.property(names, fc.array(fc.string()), (name, keys) => {
        const totals = new TotalsReader();
        totals.read(
          name,
          keys.map((key) => ({ key, value: 1 })),
          1,
        );
        totals.between(0, 2);
      }),
    );
  });
});

describe("parseContext", () => {
  it("reads vector and function", () => {
    const text = "T\t4\tffffffff81387400\tS\t1";
    expect(parseContext(text)).toEqual({ vector: 3, work: 0x81387400, start: text.indexOf("S") });
    expect(parseContext("T\t0\t0\tS")).toMatchObject({ vector: null, work: null });
    expect(parseContext("T\tx\t0\tS")).toBeNull();
    expect(parseContext("")).toBeNull();
  });
});
