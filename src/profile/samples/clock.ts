/**
 * The kernel's clock against the session's. A record is never read before it was made, so the shortest way that one took says how the
 * clocks stand: to about a millisecond, once a few have come.
 */
export class SampleClock {
  #offset = Infinity;
  #start: number | null = null;
  #end: number | null = null;

  /** A record made at `nsecs` of the kernel's clock was read at `at` (seconds of the session). */
  see(nsecs: number, at: number): void {
    this.#offset = Math.min(this.#offset, at - nsecs / 1e9);
  }

  /** The window begins (session time, seconds). */
  begin(at: number): void {
    this.#start = at;
  }

  end(at: number): void {
    this.#end = at;
  }

  /** The window in seconds of the kernel's clock; without bounds where they are not known. */
  window(): { from: number; to: number } {
    const known = Number.isFinite(this.#offset);
    return {
      from: this.#start === null || !known ? -Infinity : this.#start - this.#offset,
      to: this.#end === null || !known ? Infinity : this.#end - this.#offset,
    };
  }
}

/** A count that grows, as it was printed now and then; tells what it was at any moment in between. */
export class GrowingCount {
  readonly #points: Point[] = [];
  #last = 0;

  get last(): number {
    return this.#last;
  }

  /** `at`: when it was printed, seconds of the session. */
  see(at: number, count: number): void {
    if (count < this.#last) return;
    this.#last = count;
    this.#points.push({ at, count });
  }

  /** How much it grew between two moments, taking it as even between two prints. */
  growth(from: number | null, to: number | null): number {
    return Math.round(this.#valueAt(to ?? Infinity) - (from === null ? 0 : this.#valueAt(from)));
  }

  /** Between two prints it is taken to go on as before the first of them: the last print comes late, after the end. */
  #valueAt(at: number): number {
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle]?.at ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    const before = this.#points[low - 1];
    const after = this.#points[low];
    if (after === undefined) return before?.count ?? 0;
    if (before === undefined) {
      const slope = slopeOf(after, this.#points[low + 1]);
      return Math.max(0, after.count - slope * (after.at - at));
    }
    const slope = low >= 2 ? slopeOf(this.#points[low - 2], before) : slopeOf(before, after);
    return Math.min(after.count, before.count + slope * (at - before.at));
  }
}

interface Point {
  readonly at: number;
  readonly count: number;
}

function slopeOf(a: Point | undefined, b: Point | undefined): number {
  return a === undefined || b === undefined || b.at <= a.at ? 0 : (b.count - a.count) / (b.at - a.at);
}
