import type { ByteSource } from "./byte-source.ts";
import { readElfLayout, SHT_DYNSYM, SHT_SYMTAB, type ElfLayout } from "./elf-layout.ts";
import { readFunctions } from "./elf-functions.ts";
import { readBuildId, readDebugLink, type DebugLink } from "./elf-notes.ts";
import { readPlt, type PltTable } from "./elf-plt.ts";
import { readSymbols } from "./elf-symbols.ts";
import { DEFAULT_LIMITS, type SymbolLimits } from "./limits.ts";
import { NO_SYMBOLS, type SymbolTable } from "./symbol-table.ts";

/** What the headers of an ELF file say: read in well under a millisecond. */
export interface ElfHead {
  readonly layout: ElfLayout;
  /** In hexadecimal. */
  readonly buildId: string | null;
  readonly debugLink: DebugLink | null;
  /** It has a table of all its functions: it is not stripped. */
  readonly hasFullTable: boolean;
}

export interface ElfSymbols {
  readonly symbols: SymbolTable;
  /** `symtab`: every function. `dynsym`: those that other files may call (a stripped file). `none`: neither. */
  readonly table: "symtab" | "dynsym" | "none";
  readonly plt: PltTable | null;
  /** Where functions without a symbol begin and end; read only where the file is stripped. */
  readonly functions: SymbolTable;
}

/**
 * Reads the headers of an ELF file of any class and byte order; null where it is none.
 *
 * The file is not trusted: whatever in it points nowhere is as if it were not there, and `limits` bounds memory and
 * time (with the defaults at most about 0.5 GB and a few seconds, for a file made to reach every limit at once).
 */
export function readElfHead(source: ByteSource, limits: SymbolLimits = DEFAULT_LIMITS): ElfHead | null {
  const layout = readElfLayout(source, limits);
  if (layout === null) return null;
  return {
    layout,
    buildId: readBuildId(source, layout),
    debugLink: readDebugLink(source, layout),
    hasFullTable: layout.sections.some((section) => section.type === SHT_SYMTAB && section.size > 0),
  };
}

/**
 * Reads the code symbols: those of `.symtab`, or where the file is stripped those of `.dynsym` and the bounds of all other functions; and the
 * names of the PLT's stubs.
 * Compressed sections and `.gnu_debugdata` (xz) are not read.
 */
export function readElfSymbols(
  source: ByteSource,
  layout: ElfLayout,
  limits: SymbolLimits = DEFAULT_LIMITS,
): ElfSymbols {
  const full = readTable(source, layout, SHT_SYMTAB, limits);
  const exported = full.count > 0 ? NO_SYMBOLS : readTable(source, layout, SHT_DYNSYM, limits);
  return {
    symbols: full.count > 0 ? full : exported,
    table: full.count > 0 ? "symtab" : exported.count > 0 ? "dynsym" : "none",
    plt: readPlt(source, layout, limits),
    functions: full.count > 0 ? NO_SYMBOLS : readFunctions(source, layout, limits),
  };
}

function readTable(source: ByteSource, layout: ElfLayout, type: number, limits: SymbolLimits): SymbolTable {
  const section = layout.sections.find((candidate) => candidate.type === type);
  return section === undefined ? NO_SYMBOLS : readSymbols(source, layout, section, limits);
}

/**
 * The address that a byte of the file is linked at, or null where no segment holds it. Executable segments first: the
 * last page of one segment and the first of the next are often the same page of the file.
 */
export function toElfAddress(layout: ElfLayout, fileOffset: number): number | null {
  let found: number | null = null;
  for (const segment of layout.segments) {
    const within = fileOffset - segment.offset;
    if (within < 0 || within >= segment.fileSize) continue;
    if (segment.executable) return segment.address + within;
    found ??= segment.address + within;
  }
  return found;
}
