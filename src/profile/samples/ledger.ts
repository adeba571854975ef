/**
 * Samples sent against samples received, CPU by CPU. What the kernel's buffer had no room for is told by bpftrace itself; what
 * bpftrace threw away when it ended is not: it is what is missing at the end of a CPU's samples.
 */
export class SampleLedger {
  readonly #received = new Map<number, { count: number; last: number }>();
  #taken: ReadonlyMap<number, number> | null = null;

  /** A sample arrived; `time`: seconds of the kernel's clock. */
  receive(cpu: number, time: number): void {
    const entry = this.#received.get(cpu);
    if (entry === undefined) this.#received.set(cpu, { count: 1, last: time });
    else {
      entry.count += 1;
      entry.last = Math.max(entry.last, time);
    }
  }

  /** How many there were, by CPU; the last word counts. */
  settle(taken: ReadonlyMap<number, number>): void {
    this.#taken = taken;
  }

  /**
   * Samples of the window that are missing. `told`: those bpftrace said it lost. Samples of one CPU arrive in order: where one came
   * from the end of the window (`to`) or later, what is missing behind it is not of the window.
   */
  lost(told: number, to: number, period: number): number {
    if (this.#taken === null) return told;
    let missing = 0;
    let atEnd = 0;
    for (const [cpu, taken] of this.#taken) {
      const { count, last } = this.#received.get(cpu) ?? { count: 0, last: -Infinity };
      missing += Math.max(0, taken - count);
      if (last < to - 2 * period) atEnd += Math.max(0, taken - count);
    }
    return Math.max(told, Math.min(missing, told + atEnd));
  }
}
