/** Builds small ELF files of any class and byte order: headers, one code section, a symbol table. */

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
}

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

/** File offset of the code section, which a segment maps at its address. */
export const MADE_CODE_OFFSET = CODE_OFFSET;

export function makeElf(recipe: ElfRecipe): Buffer {
  const wide = recipe.bits === 64;
  const code = recipe.code ?? { address: 0x1000, size: 0x1000 };
  const strings = joinStrings(recipe.symbols.map((symbol) => symbol.name));
  const sectionNames = joinStrings([".text", ".symtab", ".strtab", ".shstrtab", ".note.gnu.build-id"]);
  const parts = [
    Buffer.alloc(code.size),
    makeSymbols(recipe, strings.offsets),
    strings.bytes,
    sectionNames.bytes,
    makeNote(recipe),
  ];
  const offsets: number[] = [];
  let end = CODE_OFFSET;
  for (const part of parts) {
    offsets.push(end);
    end += Math.ceil(part.length / 8) * 8;
  }
  const headerSize = wide ? 64 : 40;
  const writer = new Writer(end + headerSize * 6, recipe);
  for (const [i, part] of parts.entries()) part.copy(writer.bytes, offsets[i]);
  writeHeader(writer, recipe, end);
  writeSegment(writer, wide, code);
  const types = [1, recipe.table ?? 2, 3, 3, 7];
  for (const [i, type] of types.entries()) {
    const at = end + headerSize * (i + 1);
    writer.long(at, sectionNames.offsets[i]!);
    writer.long(at + 4, type);
    writer.word(at + 8, i === 0 ? 6 : 0);
    writer.word(at + (wide ? 16 : 12), i === 0 ? code.address : 0);
    writer.word(at + (wide ? 24 : 16), offsets[i]!);
    writer.word(at + (wide ? 32 : 20), parts[i]!.length);
    writer.long(at + (wide ? 40 : 24), i === 1 ? 3 : 0);
  }
  return writer.bytes;
}

function writeHeader(writer: Writer, recipe: ElfRecipe, sections: number): void {
  const wide = recipe.bits === 64;
  writer.bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, recipe.littleEndian ? 1 : 2, 1]);
  writer.half(16, 3);
  writer.half(18, recipe.machine ?? 62);
  writer.word(wide ? 32 : 28, wide ? 64 : 52);
  writer.word(wide ? 40 : 32, sections);
  const sizes = wide ? [52, 64, 56, 1, 64, 6, 4] : [40, 52, 32, 1, 40, 6, 4];
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
