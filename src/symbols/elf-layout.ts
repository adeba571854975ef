import type { ByteSource } from "./byte-source.ts";
import type { SymbolLimits } from "./limits.ts";

/** A PT_LOAD segment: which bytes of the file stand at which address. */
export interface Segment {
  readonly offset: number;
  readonly fileSize: number;
  readonly address: number;
  readonly executable: boolean;
}

export interface Section {
  readonly name: string;
  /** SHT_… */
  readonly type: number;
  readonly executable: boolean;
  readonly compressed: boolean;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  /** Index of the string table of a symbol table, of the symbol table of relocations. */
  readonly link: number;
}

/** A note segment or section: offsets in the file. */
export interface NoteRange {
  readonly offset: number;
  readonly size: number;
}

/** Where things are in an ELF file, from its headers alone. Every number is a safe integer ≥ 0, but none is trusted. */
export interface ElfLayout {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  /** EM_… */
  readonly machine: number;
  /** ET_EXEC: addresses are absolute. ET_DYN: shared library, PIE or vDSO. Anything else is no loadable file. */
  readonly kind: "exec" | "dyn" | "other";
  readonly segments: readonly Segment[];
  readonly sections: readonly Section[];
  readonly notes: readonly NoteRange[];
  /** PT_GNU_EH_FRAME: where `.eh_frame_hdr` is. */
  readonly unwindHeader: Pick<Segment, "offset" | "address"> | null;
}

export const EM_ARM = 40;
export const EM_X86_64 = 62;
export const EM_AARCH64 = 183;
export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_RELA = 4;
export const SHT_NOTE = 7;
export const SHT_DYNSYM = 11;

const PT_GNU_EH_FRAME = 0x6474e550;
const SHF_EXECINSTR = 4;
const SHF_COMPRESSED = 0x800;
const SECTION_NAMES_BYTES = 4 * 1024 * 1024;
const SECTION_NAME_BYTES = 128;

/** Reads the headers of an ELF file (gABI chapter 4 and 5), or null where it is none. Damaged tables are left out. */
export function readElfLayout(source: ByteSource, limits: SymbolLimits): ElfLayout | null {
  const start = source.read(0, 52);
  if (start === null || start.readUInt32BE(0) !== 0x7f454c46) return null;
  const elfClass = start[4];
  const order = start[5];
  if ((elfClass !== 1 && elfClass !== 2) || (order !== 1 && order !== 2)) return null;
  const wide = elfClass === 2;
  const header = wide ? source.read(0, 64) : start;
  if (header === null) return null;
  const fields = openFields(header, wide, order === 1);
  const type = fields.half(16);
  const at = wide
    ? { phoff: 32, shoff: 40, phentsize: 54, phnum: 56, shentsize: 58, shnum: 60, shstrndx: 62 }
    : { phoff: 28, shoff: 32, phentsize: 42, phnum: 44, shentsize: 46, shnum: 48, shstrndx: 50 };
  const table = {
    source,
    wide,
    littleEndian: order === 1,
    offset: fields.word(at.shoff),
    entrySize: fields.half(at.shentsize),
  };
  // With more than 65,279 sections or 65,534 segments the real numbers are in section 0.
  const zero = readTable(table, 1, wide ? 64 : 40);
  const sectionCount = fields.half(at.shnum) || (zero?.word(wide ? 32 : 20) ?? 0);
  const namesIndex =
    fields.half(at.shstrndx) === 0xffff ? (zero?.long(wide ? 40 : 24) ?? 0) : fields.half(at.shstrndx);
  const segmentCount =
    fields.half(at.phnum) === 0xffff ? (zero?.long(wide ? 44 : 28) ?? 0) : fields.half(at.phnum);
  const segments = readSegments(
    { ...table, offset: fields.word(at.phoff), entrySize: fields.half(at.phentsize) },
    Math.min(segmentCount, limits.segments),
  );
  return {
    bits: wide ? 64 : 32,
    littleEndian: order === 1,
    machine: fields.half(18),
    kind: type === 2 ? "exec" : type === 3 ? "dyn" : "other",
    segments: segments.loads,
    notes: segments.notes,
    unwindHeader: segments.unwindHeader,
    sections: readSections(table, Math.min(sectionCount, limits.sections), namesIndex),
  };
}

/** Fields of one piece of an ELF file. Offsets past its end throw: callers read pieces of known size. */
export interface Fields {
  half(at: number): number;
  long(at: number): number;
  /** An address, offset or size: 4 or 8 bytes by the file's class. NaN where it is over 2^53 - 1. */
  word(at: number): number;
}

export function openFields(bytes: Buffer, wide: boolean, littleEndian: boolean): Fields {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const long = (at: number): number => view.getUint32(at, littleEndian);
  return {
    half: (at) => view.getUint16(at, littleEndian),
    long,
    word(at) {
      if (!wide) return long(at);
      const high = long(littleEndian ? at + 4 : at);
      return high > 0x1fffff ? Number.NaN : high * 4294967296 + long(littleEndian ? at : at + 4);
    },
  };
}

interface Table {
  readonly source: ByteSource;
  readonly wide: boolean;
  readonly littleEndian: boolean;
  readonly offset: number;
  readonly entrySize: number;
}

function readTable(table: Table, count: number, leastEntrySize: number): Fields | null {
  if (!(table.offset > 0) || table.entrySize < leastEntrySize || table.entrySize > 1024) return null;
  const bytes = table.source.read(table.offset, count * table.entrySize);
  return bytes === null ? null : openFields(bytes, table.wide, table.littleEndian);
}

function readSegments(
  table: Table,
  count: number,
): { loads: Segment[]; notes: NoteRange[]; unwindHeader: ElfLayout["unwindHeader"] } {
  const loads: Segment[] = [];
  const notes: NoteRange[] = [];
  let unwindHeader: ElfLayout["unwindHeader"] = null;
  const fields = count > 0 ? readTable(table, count, table.wide ? 56 : 32) : null;
  if (fields === null) return { loads, notes, unwindHeader };
  for (let i = 0; i < count; i++) {
    const at = i * table.entrySize;
    const type = fields.long(at);
    const flags = fields.long(at + (table.wide ? 4 : 24));
    const offset = fields.word(at + (table.wide ? 8 : 4));
    const address = fields.word(at + (table.wide ? 16 : 8));
    const fileSize = fields.word(at + (table.wide ? 32 : 16));
    if (!areSafe(offset, address, fileSize, offset + fileSize, address + fileSize)) continue;
    if (type === 1) loads.push({ offset, fileSize, address, executable: (flags & 1) !== 0 });
    else if (type === 4) notes.push({ offset, size: fileSize });
    else if (type === PT_GNU_EH_FRAME) unwindHeader = { offset, address };
  }
  return { loads, notes, unwindHeader };
}

function readSections(table: Table, count: number, namesIndex: number): Section[] {
  const fields = count > 0 ? readTable(table, count, table.wide ? 64 : 40) : null;
  if (fields === null) return [];
  const at = table.wide
    ? { flags: 8, address: 16, offset: 24, size: 32, link: 40 }
    : { flags: 8, address: 12, offset: 16, size: 20, link: 24 };
  const sections: Section[] = [];
  const nameOffsets: number[] = [];
  for (let i = 0; i < count; i++) {
    const base = i * table.entrySize;
    const address = fields.word(base + at.address);
    const offset = fields.word(base + at.offset);
    const size = fields.word(base + at.size);
    const flags = fields.word(base + at.flags);
    // A section that cannot be stays in the list, empty: symbols and links name sections by their number.
    const sane = areSafe(address, offset, size, flags, address + size, offset + size);
    nameOffsets.push(fields.long(base));
    sections.push({
      name: "",
      type: sane ? fields.long(base + 4) : 0,
      executable: sane && (flags & SHF_EXECINSTR) !== 0,
      compressed: sane && (flags & SHF_COMPRESSED) !== 0,
      address: sane ? address : 0,
      offset: sane ? offset : 0,
      size: sane ? size : 0,
      link: fields.long(base + at.link),
    });
  }
  const names = readSectionNames(table.source, sections[namesIndex]);
  if (names === null) return sections;
  return sections.map((section, i) => ({ ...section, name: cutName(names, nameOffsets[i]!) }));
}

function readSectionNames(source: ByteSource, section: Section | undefined): Buffer | null {
  if (section === undefined || section.type !== SHT_STRTAB || section.size > SECTION_NAMES_BYTES) return null;
  return source.read(section.offset, section.size);
}

function cutName(names: Buffer, offset: number): string {
  if (offset >= names.length) return "";
  const window = names.subarray(offset, offset + SECTION_NAME_BYTES);
  const end = window.indexOf(0);
  return window.toString("latin1", 0, end === -1 ? window.length : end);
}

function areSafe(...numbers: readonly number[]): boolean {
  return numbers.every((number) => Number.isSafeInteger(number));
}
