import type { ByteSource } from "./byte-source.ts";
import { EM_ARM, SHT_STRTAB, type ElfLayout, type Section } from "./elf-layout.ts";
import type { SymbolLimits } from "./limits.ts";
import {
  BINDING,
  NO_SYMBOLS,
  RANK,
  SymbolCollector,
  type Binding,
  type Rank,
  type SymbolTable,
} from "./symbol-table.ts";

const ENTRIES_A_READ = 32_768;
const STT_NOTYPE = 0;
const STT_FUNC = 2;
const STT_GNU_IFUNC = 10;
const SHN_UNDEF = 0;
const SHN_LORESERVE = 0xff00;
const SHN_XINDEX = 0xffff;

interface Range {
  readonly start: number;
  readonly end: number;
}

/** The code symbols of a `.symtab` or `.dynsym` section; none where the section or its string table is not whole. */
export function readSymbols(
  source: ByteSource,
  layout: ElfLayout,
  table: Section,
  limits: SymbolLimits,
): SymbolTable {
  const names = readStringTable(source, layout, table, limits);
  if (names === null) return NO_SYMBOLS;
  const entrySize = layout.bits === 64 ? 24 : 16;
  const count = Math.min(Math.floor(table.size / entrySize), limits.symbols);
  // Asked before memory is taken: a header can promise more than there is.
  if (count === 0 || source.read(table.offset + count * entrySize - 1, 1) === null) return NO_SYMBOLS;
  const collector = new SymbolCollector(count);
  const areas = findCode(layout);
  for (let first = 0; first < count; first += ENTRIES_A_READ) {
    const piece = Math.min(ENTRIES_A_READ, count - first);
    const bytes = source.read(table.offset + first * entrySize, piece * entrySize);
    if (bytes === null) return NO_SYMBOLS;
    collectSymbols(bytes, layout, areas, names, collector);
  }
  return collector.build(names);
}

/** The string table that a symbol table names, or null. */
export function readStringTable(
  source: ByteSource,
  layout: ElfLayout,
  table: Section,
  limits: SymbolLimits,
): Buffer | null {
  const strings = layout.sections[table.link];
  if (strings === undefined || strings.type !== SHT_STRTAB || strings.compressed || table.compressed)
    return null;
  if (strings.size === 0 || strings.size > limits.stringTableBytes) return null;
  return source.read(strings.offset, strings.size);
}

interface CodeAreas {
  /** By section number; null for a section that holds no code. Empty where the file has no section headers. */
  readonly sections: readonly (Range | null)[];
  readonly segments: readonly Range[];
}

function findCode(layout: ElfLayout): CodeAreas {
  return {
    sections: layout.sections.map((section) =>
      section.executable ? { start: section.address, end: section.address + section.size } : null,
    ),
    // Searched for every symbol: a file made to have hundreds of them must not make that slow.
    segments: layout.segments
      .filter((segment) => segment.executable)
      .slice(0, 16)
      .map((segment) => ({ start: segment.address, end: segment.address + segment.fileSize })),
  };
}

function collectSymbols(
  bytes: Buffer,
  layout: ElfLayout,
  areas: CodeAreas,
  names: Buffer,
  into: SymbolCollector,
): void {
  const wide = layout.bits === 64;
  const entrySize = wide ? 24 : 16;
  const at = wide
    ? { value: 8, size: 16, info: 4, section: 6 }
    : { value: 4, size: 8, info: 12, section: 14 };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = layout.littleEndian;
  const isArm = layout.machine === EM_ARM;
  for (let base = 0; base + entrySize <= bytes.length; base += entrySize) {
    const info = bytes[base + at.info]!;
    const type = info & 15;
    if (type !== STT_FUNC && type !== STT_NOTYPE && type !== STT_GNU_IFUNC) continue;
    const section = view.getUint16(base + at.section, little);
    if (section === SHN_UNDEF) continue;
    const name = view.getUint32(base, little);
    if (name >= names.length || names[name] === 0) continue;
    // A mapping symbol of ARM, AArch64, RISC-V: `$x`, `$d.5`.
    if (type === STT_NOTYPE && names[name] === 0x24) continue;
    const value = wide ? readLong(view, base + at.value, little) : view.getUint32(base + at.value, little);
    // The lowest bit of an ARM function's address says "Thumb".
    const start = isArm && type === STT_FUNC ? value - (value % 2) : value;
    const area = findArea(areas, section, start, type);
    if (area === null) continue;
    const size = wide ? readLong(view, base + at.size, little) : view.getUint32(base + at.size, little);
    into.add(start, size, area.end, name, rankOf(type), bindingOf(info >> 4));
  }
}

/** Eight bytes. A number over 2^53 - 1 is not exact; no section holds such an address. */
function readLong(view: DataView, at: number, little: boolean): number {
  return (
    view.getUint32(little ? at + 4 : at, little) * 4294967296 + view.getUint32(little ? at : at + 4, little)
  );
}

function findArea(areas: CodeAreas, section: number, address: number, type: number): Range | null {
  if (section < SHN_LORESERVE && areas.sections.length > 0) {
    const area = areas.sections[section] ?? null;
    return area !== null && address >= area.start && address < area.end ? area : null;
  }
  // Without section headers, or with its section number kept elsewhere: any executable segment. A bare label that
  // belongs to no section (SHN_ABS) is a number, not code.
  if (section !== SHN_XINDEX && type === STT_NOTYPE) return null;
  return areas.segments.find((segment) => address >= segment.start && address < segment.end) ?? null;
}

function rankOf(type: number): Rank {
  if (type === STT_FUNC) return RANK.function;
  return type === STT_GNU_IFUNC ? RANK.indirect : RANK.label;
}

function bindingOf(binding: number): Binding {
  if (binding === 0) return BINDING.local;
  return binding === 2 ? BINDING.weak : BINDING.global;
}
