import type { ByteSource } from "./byte-source.ts";
import type { ElfLayout, Segment } from "./elf-layout.ts";
import type { SymbolLimits } from "./limits.ts";
import { BINDING, NO_SYMBOLS, RANK, SymbolCollector, type SymbolTable } from "./symbol-table.ts";
import { UnwindCursor } from "./unwind-cursor.ts";

const SHT_NOBITS = 8;
const EXTENDED = 0xffffffff;
/** The letters of a CIE: `zPLR`, `zRS`, on AArch64 `zRB`. */
const AUGMENTATION_BYTES = 8;
const [LETTER_Z, LETTER_P, LETTER_L, LETTER_R] = [0x7a, 0x50, 0x4c, 0x52];
const [LETTER_S, LETTER_B, LETTER_G] = [0x53, 0x42, 0x47];

const NO_NAMES = Buffer.alloc(1);

/**
 * Where functions begin and end by the unwind tables (`.eh_frame`: LSB Core, 10.6), which also a stripped file has: exceptions need them.
 * A table of symbols without names. The parts into which a compiler splits a function (hot, cold) are one each. None where the
 * file has no such table, where it is longer than the limit or not whole.
 */
export function readFunctions(source: ByteSource, layout: ElfLayout, limits: SymbolLimits): SymbolTable {
  const table = findTable(source, layout, limits);
  if (table === null) return NO_SYMBOLS;
  const cursor = new UnwindCursor(table.bytes, table.address, layout);
  const count = Math.min(countRecords(cursor, table.isSection), limits.symbols);
  if (count === 0) return NO_SYMBOLS;
  const collector = new SymbolCollector(count);
  collectFunctions(cursor, table.isSection, findCode(layout), collector);
  return collector.build(NO_NAMES);
}

interface UnwindTable {
  readonly bytes: Buffer;
  readonly address: number;
  /** Its end is known: there can be more after an empty record. */
  readonly isSection: boolean;
}

function findTable(source: ByteSource, layout: ElfLayout, limits: SymbolLimits): UnwindTable | null {
  const section = layout.sections.find(({ name, type }) => name === ".eh_frame" && type !== SHT_NOBITS);
  if (section === undefined) return findByHeader(source, layout, limits);
  if (section.size > limits.unwindBytes || section.compressed) return null;
  const bytes = source.read(section.offset, section.size);
  return bytes === null ? null : { bytes, address: section.address, isSection: true };
}

/** Without section headers: the program header PT_GNU_EH_FRAME leads to `.eh_frame_hdr`, whose first pointer leads to the table. */
function findByHeader(source: ByteSource, layout: ElfLayout, limits: SymbolLimits): UnwindTable | null {
  const header = layout.unwindHeader;
  const start = header === null ? null : source.read(header.offset, 12);
  if (header === null || start === null || start[0] !== 1) return null;
  const cursor = new UnwindCursor(start, header.address, layout);
  cursor.seek(4, start.length);
  const address = cursor.pointer(start[1] ?? 0xff);
  const segment = findSegment(layout.segments, address);
  if (cursor.failed || segment === undefined) return null;
  const within = address - segment.address;
  const length = Math.min(segment.fileSize - within, limits.unwindBytes);
  const bytes = source.read(segment.offset + within, length);
  return bytes === null ? null : { bytes, address, isSection: false };
}

function findSegment(segments: readonly Segment[], address: number): Segment | undefined {
  return segments.find(
    (segment) => address >= segment.address && address < segment.address + segment.fileSize,
  );
}

/** Searched for every record: a file made to have hundreds of them must not make that slow. */
function findCode(layout: ElfLayout): readonly Segment[] {
  return layout.segments.filter((segment) => segment.executable).slice(0, 16);
}

/** Goes from record to record; `visit` is called with the bounds of what follows the length. */
function walkRecords(
  cursor: UnwindCursor,
  isSection: boolean,
  visit: (start: number, end: number) => void,
): void {
  for (let at = 0; at + 4 <= cursor.length;) {
    cursor.seek(at, cursor.length);
    const length = cursor.long();
    at += 4;
    if (length === 0) {
      if (isSection) continue;
      return;
    }
    // No linker writes a record of 4 GB; libgcc does not read one either.
    if (length === EXTENDED || at + length > cursor.length) return;
    visit(at, at + length);
    at += length;
  }
}

function countRecords(cursor: UnwindCursor, isSection: boolean): number {
  let count = 0;
  walkRecords(cursor, isSection, () => count++);
  return count;
}

function collectFunctions(
  cursor: UnwindCursor,
  isSection: boolean,
  code: readonly Segment[],
  into: SymbolCollector,
): void {
  /** By where they start: how pointers are written in the records that refer to them; null where that is not known. */
  const encodings = new Map<number, number | null>();
  walkRecords(cursor, isSection, (start, end) => {
    cursor.seek(start, end);
    const id = cursor.long();
    if (id === 0) {
      encodings.set(start - 4, readEncoding(cursor));
      return;
    }
    // A CIE stands before its records: what points elsewhere is damaged.
    const encoding = encodings.get(start - id);
    if (encoding === undefined || encoding === null) return;
    const address = cursor.pointer(encoding);
    const size = cursor.extent(encoding);
    if (cursor.failed || !(size > 0)) return;
    const area = findSegment(code, address);
    if (area !== undefined)
      into.add(address, size, area.address + area.fileSize, 0, RANK.function, BINDING.local);
  });
}

/** The encoding that a CIE says (after its id), or null where it cannot be told. */
function readEncoding(cursor: UnwindCursor): number | null {
  const version = cursor.byte();
  const letters: number[] = [];
  for (let letter = cursor.byte(); letter !== 0; letter = cursor.byte()) {
    letters.push(letter);
    if (letters.length > AUGMENTATION_BYTES) return null;
  }
  if (letters.length === 0) return 0;
  if (letters[0] !== LETTER_Z || (version !== 1 && version !== 3)) return null;
  // Code and data alignment, return address register, length of what follows.
  cursor.leb();
  cursor.leb();
  if (version === 1) cursor.byte();
  else cursor.leb();
  cursor.leb();
  for (const letter of letters.slice(1)) {
    if (letter === LETTER_R) {
      const encoding = cursor.byte();
      return cursor.failed ? null : encoding;
    }
    if (letter === LETTER_P) cursor.extent(cursor.byte());
    else if (letter === LETTER_L) cursor.byte();
    else if (letter !== LETTER_S && letter !== LETTER_B && letter !== LETTER_G) return null;
  }
  return cursor.failed ? null : 0;
}
