import type { ByteSource } from "./byte-source.ts";
import { EM_AARCH64, EM_X86_64, openFields, SHT_RELA, type ElfLayout, type Section } from "./elf-layout.ts";
import { readStringTable } from "./elf-symbols.ts";
import type { SymbolLimits } from "./limits.ts";

/** The stubs through which a program calls functions of its libraries. */
export interface PltTable {
  readonly start: number;
  readonly end: number;
  /** `write@plt` for an address from `start` to before `end`, or null. */
  nameAt(address: number): string | null;
}

const STUB_BYTES = 16;
const STUBS_MOST = 65_536;
const RELA_BYTES = 24;
const SYMBOL_BYTES = 24;

/**
 * Stubs have no symbols of their own: they stand in the order of `.rela.plt`, which names them. Read for x86-64 and AArch64
 * where every stub has 16 bytes (not with pointer authentication), else null.
 */
export function readPlt(source: ByteSource, layout: ElfLayout, limits: SymbolLimits): PltTable | null {
  if (layout.bits !== 64 || (layout.machine !== EM_X86_64 && layout.machine !== EM_AARCH64)) return null;
  const relocations = layout.sections.find(
    (section) => section.name === ".rela.plt" && section.type === SHT_RELA,
  );
  const symbols = relocations && layout.sections[relocations.link];
  if (relocations === undefined || symbols === undefined) return null;
  const count = Math.floor(relocations.size / RELA_BYTES);
  const start = findStubs(layout, count);
  if (start === null || count === 0 || count > STUBS_MOST) return null;
  const names = readStringTable(source, layout, symbols, limits);
  const offsets = readNameOffsets(source, layout, relocations, symbols, count);
  if (names === null || offsets === null) return null;
  return {
    start,
    end: start + count * STUB_BYTES,
    nameAt(address) {
      const offset = offsets[Math.floor((address - start) / STUB_BYTES)] ?? 0;
      if (offset === 0 || offset >= names.length) return null;
      const window = names.subarray(offset, offset + limits.nameBytes);
      const end = window.indexOf(0);
      const name = window.toString("utf8", 0, end === -1 ? window.length : end);
      return name === "" ? null : `${name}@plt`;
    },
  };
}

function findStubs(layout: ElfLayout, count: number): number | null {
  const second = layout.sections.find((section) => section.name === ".plt.sec");
  if (second !== undefined) return second.size === count * STUB_BYTES ? second.address : null;
  const plt = layout.sections.find((section) => section.name === ".plt");
  // The stubs come after one for the dynamic linker.
  const first = layout.machine === EM_AARCH64 ? 32 : STUB_BYTES;
  return plt !== undefined && plt.size === first + count * STUB_BYTES ? plt.address + first : null;
}

function readNameOffsets(
  source: ByteSource,
  layout: ElfLayout,
  relocations: Section,
  symbols: Section,
  count: number,
): Uint32Array | null {
  const bytes = source.read(relocations.offset, count * RELA_BYTES);
  if (bytes === null) return null;
  const fields = openFields(bytes, true, layout.littleEndian);
  const offsets = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    // r_info: the symbol's number is its upper half. 0 for an IRELATIVE one, which has no name.
    const symbol = fields.long(i * RELA_BYTES + (layout.littleEndian ? 12 : 8));
    if (symbol === 0 || (symbol + 1) * SYMBOL_BYTES > symbols.size) continue;
    const entry = source.read(symbols.offset + symbol * SYMBOL_BYTES, 4);
    if (entry !== null) offsets[i] = openFields(entry, true, layout.littleEndian).long(0);
  }
  return offsets;
}
