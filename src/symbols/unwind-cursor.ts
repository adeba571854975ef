/** How a pointer is written in unwind tables: DW_EH_PE_… (LSB Core, 10.5). Lower half: its form; upper half: what it is relative to. */
const FORM = 0x0f;
const RELATIVE = 0xf0;
const ABSOLUTE = 0x00;
const PC_RELATIVE = 0x10;

const WORD = 2 ** 32;
const LEB_BYTES = 10;

/** Reads numbers one after the other. Past the end it gives 0, and `failed` is set from then on. */
export class UnwindCursor {
  position = 0;
  failed = false;
  #end = 0;
  readonly #view: DataView;
  readonly #wide: boolean;
  readonly #little: boolean;
  readonly #address: number;

  /** `address`: where the first byte stands once it is loaded. */
  constructor(bytes: Buffer, address: number, form: { bits: 32 | 64; littleEndian: boolean }) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#address = address;
    this.#wide = form.bits === 64;
    this.#little = form.littleEndian;
    this.#end = bytes.length;
  }

  get length(): number {
    return this.#view.byteLength;
  }

  /** To read from `position` to before `end`. */
  seek(position: number, end: number): void {
    this.position = position;
    this.#end = Math.min(end, this.#view.byteLength);
    this.failed = position > this.#end;
  }

  byte(): number {
    const at = this.#take(1);
    return at === -1 ? 0 : this.#view.getUint8(at);
  }

  long(): number {
    const at = this.#take(4);
    return at === -1 ? 0 : this.#view.getUint32(at, this.#little);
  }

  /** LEB128, without its sign: for numbers that are skipped, and for small ones. */
  leb(): number {
    let value = 0;
    for (let i = 0; i < LEB_BYTES; i++) {
      const next = this.byte();
      value += (next & 0x7f) * 2 ** (7 * i);
      if (next < 0x80) return value;
    }
    this.failed = true;
    return 0;
  }

  /** The address that a pointer says, or NaN where its encoding is none that linkers use for code. */
  pointer(encoding: number): number {
    const base = this.#address + this.position;
    const relative = encoding & RELATIVE;
    if (relative !== ABSOLUTE && relative !== PC_RELATIVE) return Number.NaN;
    const value = this.#number(encoding & FORM, true);
    const address = relative === PC_RELATIVE ? base + value : value;
    // Addresses wrap around at the width of the machine.
    return this.#wide ? address : ((address % WORD) + WORD) % WORD;
  }

  /** A length in the form of a pointer: what it is relative to does not matter. NaN where the form is not known. */
  extent(encoding: number): number {
    return this.#number(encoding & FORM, false);
  }

  /** Eight bytes are exact up to 2^53; no code is behind that. */
  #number(form: number, signed: boolean): number {
    switch (form) {
      case 0x0:
        return this.#wide ? this.#quad(signed) : this.#word(signed);
      case 0x1:
        return this.leb();
      case 0x2:
        return this.#half(false);
      case 0x3:
        return this.#word(false);
      case 0x4:
      case 0xc:
        return this.#quad(signed);
      case 0xa:
        return this.#half(signed);
      case 0xb:
        return this.#word(signed);
      default:
        this.failed = true;
        return Number.NaN;
    }
  }

  #half(signed: boolean): number {
    const at = this.#take(2);
    if (at === -1) return 0;
    return signed ? this.#view.getInt16(at, this.#little) : this.#view.getUint16(at, this.#little);
  }

  #word(signed: boolean): number {
    const value = this.long();
    return signed ? value | 0 : value;
  }

  #quad(signed: boolean): number {
    const at = this.#take(8);
    if (at === -1) return 0;
    const low = this.#view.getUint32(this.#little ? at : at + 4, this.#little);
    const high = this.#view.getUint32(this.#little ? at + 4 : at, this.#little);
    return (signed ? high | 0 : high) * WORD + low;
  }

  #take(count: number): number {
    const at = this.position;
    if (this.failed || at + count > this.#end) {
      this.failed = true;
      return -1;
    }
    this.position = at + count;
    return at;
  }
}
