import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GrowingCount, SampleClock } from "../../../src/profile/samples/clock.ts";
import { SampleLedger } from "../../../src/profile/samples/ledger.ts";
import { SampleLog } from "../../../src/profile/samples/log.ts";
import { weighAll, weighThread } from "../../../src/profile/samples/timeline.ts";

describe("SampleClock", () => {
  it("takes the record with the shortest way as the measure", () => {
    const clock = new SampleClock();
    clock.begin(10);
    clock.end(20);
    clock.see(1000e9, 9.5);
    clock.see(1001e9, 10.001);
    clock.see(1002e9, 14);
    expect(clock.window().from).toBeCloseTo(1000.999, 6);
    expect(clock.window().to).toBeCloseTo(1010.999, 6);
  });

  it("has no bounds as long as nothing is known", () => {
    expect(new SampleClock().window()).toEqual({ from: -Infinity, to: Infinity });
  });
});

describe("GrowingCount", () => {
  it("tells the growth between two moments between prints", () => {
    const count = new GrowingCount();
    for (let second = 1; second <= 10; second++) count.see(second, 100 * second);
    expect(count.growth(2.5, 7.5)).toBe(500);
    expect(count.growth(null, null)).toBe(1000);
  });

  it("does not spread the end over the time until it was printed", () => {
    const count = new GrowingCount();
    count.see(1, 100);
    count.see(2, 200);
    // It stopped at 2.1 and was printed at 3.
    count.see(3, 210);
    expect(count.growth(1, 2.1)).toBe(110);
  });

  it("never takes back, and never gives more than there was", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(100), fc.nat(1000)), { minLength: 1 }),
        fc.nat(10_000),
        fc.nat(10_000),
        (steps, a, b) => {
          const count = new GrowingCount();
          let [at, value] = [0, 0];
          for (const [dt, dv] of steps) count.see((at += dt + 1), (value += dv));
          const growth = count.growth(Math.min(a, b), Math.max(a, b));
          expect(growth).toBeGreaterThanOrEqual(0);
          expect(growth).toBeLessThanOrEqual(value);
        },
      ),
    );
  });
});

describe("SampleLedger", () => {
  const fill = (cpu: number, count: number, last: number) => {
    const ledger = new SampleLedger();
    for (let n = 0; n < count; n++) ledger.receive(cpu, last - n);
    return ledger;
  };

  it("counts what is missing at the end of a CPU's samples", () => {
    const ledger = fill(0, 10, 50);
    ledger.settle(new Map([[0, 25]]));
    expect(ledger.lost(0, 100, 0.01)).toBe(15);
  });

  it("does not count what came after the window", () => {
    const ledger = fill(0, 10, 100.001);
    ledger.settle(new Map([[0, 12]]));
    expect(ledger.lost(0, 100, 0.01)).toBe(0);
  });

  it("never says less than bpftrace did, and counts a silent CPU", () => {
    const ledger = fill(0, 10, 100.001);
    expect(ledger.lost(7, 100, 0.01)).toBe(7);
    ledger.settle(
      new Map([
        [0, 12],
        [1, 5],
      ]),
    );
    expect(ledger.lost(0, 100, 0.01)).toBe(5);
    expect(ledger.lost(7, 100, 0.01)).toBe(7);
  });
});

describe("SampleLog", () => {
  it("gives the samples of a window in the order of their time", () => {
    const log = new SampleLog();
    const times = [5.3, 5.1, 4.9, 5.2, 6.1, 5.15];
    times.forEach((time, index) => log.add(time, index, index));
    const found = [...log.select(5, 6).walk()];
    expect(found.map(({ time }) => time)).toEqual([5.1, 5.15, 5.2, 5.3]);
    expect(found.map(({ thread }) => thread)).toEqual([1, 5, 3, 0]);
    expect([...log.select(5, 6).walk(3)]).toHaveLength(1);
  });

  it("loses none", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: 0, max: 3600, noNaN: true }), fc.nat(20))),
        (samples) => {
          const log = new SampleLog();
          for (const [time, stack] of samples) log.add(time, 0, stack);
          const found = [...log.select(-Infinity, Infinity).walk()];
          const ascending = (a: number, b: number) => a - b;
          expect(found.map(({ stack }) => stack).sort(ascending)).toEqual(
            samples.map(([, stack]) => stack).sort(ascending),
          );
        },
      ),
    );
  });
});

describe("timelines", () => {
  const draw = (_: number, stack: number) => [{ name: String(stack) }];

  it("draws a thread where it was in time, with gaps", () => {
    const log = new SampleLog();
    for (const time of [100.1, 100.2, 100.3, 105.1]) log.add(time, 0, 7);
    log.add(101, 1, 8);
    const window = { from: 100, to: 110, period: 0.1 };
    const samples = [...weighThread(log.select(100, 110), 0, window, draw)];
    expect(samples.map(({ stack }) => stack.length)).toEqual([1, 1, 1, 0, 1, 0]);
    expect(samples.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(10, 9);
    expect(samples[3]?.weight).toBeCloseTo(4.7, 9);
    const cpu = samples.filter(({ stack }) => stack.length > 0).reduce((sum, { weight }) => sum + weight, 0);
    expect(cpu).toBeCloseTo(0.4, 9);
  });

  it("weighs all alike", () => {
    const log = new SampleLog();
    for (const time of [1, 2, 3]) log.add(time, 0, 7);
    expect([...weighAll(log.select(0, 9), 1, draw)].map(({ weight }) => weight)).toEqual([1, 1, 1]);
  });
});
