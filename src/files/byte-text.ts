const BUFFER_BYTES = 1 << 20;
/** Longest text written in one piece: every UTF-16 unit takes at most 3 bytes. */
const PIECE = BUFFER_BYTES / 4;
const DIGITS = 20;

/**
 * Gathers text and numbers as bytes and hands them on a megabyte at a time. Integers are written digit by digit: a
 * profile is mostly small numbers, and a string for each is what makes writers slow.
 */
export class ByteText {
  readonly #write: (chunk: Uint8Array) => void;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #used = 0;

  constructor(write: (chunk: Uint8Array) => void) {
    this.#write = write;
  }

  text(text: string): void {
    for (let start = 0; start < text.length;) {
      let end = Math.min(text.length, start + PIECE);
      // A surrogate pair must not be torn apart.
      if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end += 1;
      if (this.#used + (end - start) * 3 > BUFFER_BYTES) this.flush();
      this.#used += this.#buffer.write(text.slice(start, end), this.#used);
      start = end;
    }
  }

  /** One byte below 0x80. */
  byte(code: number): void {
    if (this.#used === BUFFER_BYTES) this.flush();
    this.#buffer[this.#used++] = code;
  }

  number(value: number): void {
    if (value < 0 || value > 0x7fff_ffff || (value | 0) !== value) return this.text(String(value));
    if (this.#used + DIGITS > BUFFER_BYTES) this.flush();
    let size = 1;
    for (let limit = 10; limit <= value; limit *= 10) size += 1;
    const end = this.#used + size;
    let rest = value;
    for (let place = end - 1; place >= this.#used; place--) {
      const shorter = (rest / 10) | 0;
      this.#buffer[place] = 48 + rest - shorter * 10;
      rest = shorter;
    }
    this.#used = end;
  }

  flush(): void {
    this.#write(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}
