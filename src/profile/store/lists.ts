/** A growing Int32Array: a plain array of a hundred million numbers costs twice the memory and much of the speed. */
export class IntList {
  data: Int32Array;
  length = 0;

  constructor(capacity = 1024) {
    this.data = new Int32Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.data.length) this.reserve(1);
    this.data[this.length++] = value;
  }

  /** Makes room for `extra` more values. */
  reserve(extra: number): void {
    const needed = this.length + extra;
    if (needed <= this.data.length) return;
    const grown = new Int32Array(Math.max(needed, this.data.length * 2));
    grown.set(this.data.subarray(0, this.length));
    this.data = grown;
  }

  /** 0 where nothing was set. */
  at(index: number): number {
    return this.data[index] ?? 0;
  }

  /** Sets any place, also one behind the end. */
  set(index: number, value: number): void {
    if (index >= this.data.length) this.reserve(index + 1 - this.length);
    this.data[index] = value;
    if (index >= this.length) this.length = index + 1;
  }
}

/** The same for doubles. */
export class FloatList {
  data: Float64Array;
  length = 0;

  constructor(capacity = 1024) {
    this.data = new Float64Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.data.length) {
      const grown = new Float64Array(Math.ceil(this.data.length * 1.5) + 1);
      grown.set(this.data);
      this.data = grown;
    }
    this.data[this.length++] = value;
  }

  at(index: number): number {
    return this.data[index] ?? 0;
  }
}
