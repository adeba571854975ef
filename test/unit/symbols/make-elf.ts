/** Builds small ELF files of any class and byte order: headers, one code section, a symbol table, unwind tables. */

export interface MadeSymbol {
  readonly name: string;
  readonly value: number;
  readonly size?: number;
  /** STT_…; default FUNC. */
  readonly type?: number;
  /** STB_…; default GLOBAL. */
  readonly binding?: number;
  /** Default: the code section, 1. */
  readonly section?: number;
}

export interface ElfRecipe {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly symbols: readonly MadeSymbol[];
  /** EM_…; default x86-64. */
  readonly machine?: number;
  /** Address and size of the code section. Default 0x1000 and 0x1000. */
  readonly code?: { readonly address: number; readonly size: number };
  /** SHT_SYMTAB (2) or SHT_DYNSYM (11). */
  readonly table?: number;
  readonly buildId?: string;
  /** Functions by their unwind tables: `.eh_frame`. */
  readonly unwind?: {
    readonly functions: readonly { readonly start: number; readonly size: number }[];
    /** DW_EH_PE_…; default 0x1b: relative to itself, four bytes with sign, as linkers have it. */
    readonly encoding?: number;
    /** Default `zR`. */
    readonly augmentation?: string;
  };
}

/** Where `.eh_frame` stands once it is loaded. */
const UNWIND_ADDRESS = 0x20000;

const CODE_OFFSET = 0x200;

/** Bytes in which numbers stand as the recipe's class and order want them. */
class Writer {
  readonly bytes: Buffer;
  readonly #view: DataView;
  readonly #wide: boolean;
  readonly #little: boolean;

  constructor(size: number, recipe: ElfRecipe) {
    this.bytes = Buffer.alloc(size);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, size);
    this.#wide = recipe.bits === 64;
    this.#little = recipe.littleEndian;
  }

  /** A number in the form of a pointer's encoding; negative ones wrap around. */
  pointer(at: number, encoding: number, value: number): number {
    const form = encoding & 7;
    const bytes = form === 0 ? (this.#wide ? 8 : 4) : 2 ** (form - 1);
    const bits = BigInt.asUintN(bytes * 8, BigInt(value));
    if (bytes === 8) this.#view.setBigUint64(at, bits, this.#little);
    else if (bytes === 4) this.#view.setUint32(at, Number(bits), this.#little);
    else this.#view.setUint16(at, Number(bits), this.#little);
    return bytes;
  }

  half(at: number, value: number): void {
    this.#view.setUint16(at, value, this.#little);
  }

  long(at: number, value: number): void {
    this.#view.setUint32(at, value, this.#little);
  }

  word(at: number, value: number): void {
    if (this.#wide) this.#view.setBigUint64(at, BigInt(value), this.#little);
    else this.long(at, value);
  }
}

function joinStrings(names: readonly string[]): { bytes: Buffer; offsets: number[] } {
  const offsets: number[] = [];
  let text = "\0";
  for (const name of names) {
    offsets.push(text.length);
    text += `${name}\0`;
  }
  return { bytes: Buffer.from(text, "latin1"), offsets };
}

function makeSymbols(recipe: ElfRecipe, offsets: readonly number[]): Buffer {
  const wide = recipe.bits === 64;
  const size = wide ? 24 : 16;
  const writer = new Writer(size * (recipe.symbols.length + 1), recipe);
  for (const [i, symbol] of recipe.symbols.entries()) {
    const at = size * (i + 1);
    writer.long(at, offsets[i]!);
    writer.bytes[at + (wide ? 4 : 12)] = ((symbol.binding ?? 1) << 4) | (symbol.type ?? 2);
    writer.half(at + (wide ? 6 : 14), symbol.section ?? 1);
    writer.word(at + (wide ? 8 : 4), symbol.value);
    writer.word(at + (wide ? 16 : 8), symbol.size ?? 0);
  }
  return writer.bytes;
}

function makeNote(recipe: ElfRecipe): Buffer {
  const id = Buffer.from(recipe.buildId ?? "", "hex");
  const writer = new Writer(16 + id.length, recipe);
  writer.long(0, 4);
  writer.long(4, id.length);
  writer.long(8, 3);
  writer.bytes.write("GNU\0", 12, "latin1");
  id.copy(writer.bytes, 16);
  return writer.bytes;
}

/** One CIE and a record for each function, then the empty record that ends the table. */
function makeUnwind(recipe: ElfRecipe): Buffer {
  const { functions = [], encoding = 0x1b, augmentation = "zR" } = recipe.unwind ?? {};
  const writer = new Writer(64 + functions.length * 32 + 4, recipe);
  const isRelative = (encoding & 0xf0) === 0x10;
  // Length, id, version, augmentation, alignments (1, -8), return address register, length of what follows, encoding.
  const cie = Buffer.from([1, ...Buffer.from(`${augmentation}\0`, "latin1"), 1, 0x78, 16, 1, encoding]);
  cie.copy(writer.bytes, 8);
  const length = Math.ceil((4 + cie.length) / 4) * 4;
  writer.long(0, length);
  let at = 4 + length;
  for (const { start, size } of functions) {
    const pointer = at + 8;
    const value = isRelative ? start - UNWIND_ADDRESS - pointer : start;
    const width = writer.pointer(pointer, encoding, value);
    writer.pointer(pointer + width, encoding, size);
    const whole = 4 + width * 2 + 1;
    writer.long(at, whole);
    writer.long(at + 4, at + 4);
    at += 4 + whole;
  }
  return writer.bytes.subarray(0, at + 4);
}

/** File offset of the code section, which a segment maps at its address. */
export const MADE_CODE_OFFSET = CODE_OFFSET;

export function makeElf(recipe: ElfRecipe): Buffer {
  const wide = recipe.bits === 64;
  const code = recipe.code ?? { address: 0x1000, size: 0x1000 };
  const strings = joinStrings(recipe.symbols.map((symbol) => symbol.name));
  const sectionNames = joinStrings([
    ".text",
    ".symtab",
    ".strtab",
    ".shstrtab",
    ".note.gnu.build-id",
    ".eh_frame",
  ]);
  const parts = [
    Buffer.alloc(code.size),
    makeSymbols(recipe, strings.offsets),
    strings.bytes,
    sectionNames.bytes,
    makeNote(recipe),
    ...(recipe.unwind === undefined ? [] : [makeUnwind(recipe)]),
  ];
  const offsets: number[] = [];
  let end = CODE_OFFSET;
  for (const part of parts) {
    offsets.push(end);
    end += Math.ceil(part.length / 8) * 8;
  }
  const headerSize = wide ? 64 : 40;
  const writer = new Writer(end + headerSize * (parts.length + 1), recipe);
  for (const [i, part] of parts.entries()) part.copy(writer.bytes, offsets[i]);
  writeHeader(writer, recipe, end, parts.length + 1);
  writeSegment(writer, wide, code);
  const types = [1, recipe.table ?? 2, 3, 3, 7, 1];
  for (const [i, type] of types.slice(0, parts.length).entries()) {
    const at = end + headerSize * (i + 1);
    writer.long(at, sectionNames.offsets[i]!);
    writer.long(at + 4, type);
    writer.word(at + 8, i === 0 ? 6 : 0);
    writer.word(at + (wide ? 16 : 12), i === 0 ? code.address : i === 5 ? UNWIND_ADDRESS : 0);
    writer.word(at + (wide ? 24 : 16), offsets[i]!);
    writer.word(at + (wide ? 32 : 20), parts[i]!.length);
    writer.long(at + (wide ? 40 : 24), i === 1 ? 3 : 0);
  }
  return writer.bytes;
}

function writeHeader(writer: Writer, recipe: ElfRecipe, sections: number, count: number): void {
  const wide = recipe.bits === 64;
  writer.bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, recipe.littleEndian ? 1 : 2, 1]);
  writer.half(16, 3);
  writer.half(18, recipe.machine ?? 62);
  writer.word(wide ? 32 : 28, wide ? 64 : 52);
  writer.word(wide ? 40 : 32, sections);
  const sizes = wide ? [52, 64, 56, 1, 64, count, 4] : [40, 52, 32, 1, 40, count, 4];
  for (let i = 1; i < sizes.length; i++) writer.half(sizes[0]! + (i - 1) * 2, sizes[i]!);
}

function writeSegment(writer: Writer, wide: boolean, code: { address: number; size: number }): void {
  const at = wide ? 64 : 52;
  writer.long(at, 1);
  writer.long(at + (wide ? 4 : 24), 5);
  writer.word(at + (wide ? 8 : 4), CODE_OFFSET);
  writer.word(at + (wide ? 16 : 8), code.address);
  writer.word(at + (wide ? 32 : 16), code.size);
  writer.word(at + (wide ? 40 : 20), code.size);
}
