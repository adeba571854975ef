import type { ByteSource } from "./byte-source.ts";
import { openFields, SHT_NOTE, type ElfLayout } from "./elf-layout.ts";

/** The name and checksum of the file that holds this one's debug symbols (`.gnu_debuglink`). */
export interface DebugLink {
  /** A file name without folder: one with a slash in it is not believed. */
  readonly name: string;
  /** CRC-32 (as in zlib) over the whole debug file. */
  readonly crc: number;
}

const NOTES_BYTES = 65_536;
const NOTES_MOST = 64;
const NOTE_RANGES_MOST = 32;
const NT_GNU_BUILD_ID = 3;
const LINK_BYTES = 4096;

/** The linker's fingerprint of the program, in hexadecimal, or null. From note segments, else from note sections. */
export function readBuildId(source: ByteSource, layout: ElfLayout): string | null {
  const ranges = [...layout.notes, ...layout.sections.filter((section) => section.type === SHT_NOTE)];
  for (const range of ranges.slice(0, NOTE_RANGES_MOST)) {
    if (range.size < 16) continue;
    const bytes = source.read(range.offset, Math.min(range.size, NOTES_BYTES));
    const id = bytes === null ? null : findBuildId(bytes, layout.littleEndian);
    if (id !== null) return id;
  }
  return null;
}

function findBuildId(bytes: Buffer, littleEndian: boolean): string | null {
  const fields = openFields(bytes, false, littleEndian);
  let at = 0;
  for (let count = 0; count < NOTES_MOST && at + 12 <= bytes.length; count++) {
    const nameSize = fields.long(at);
    const size = fields.long(at + 4);
    const start = at + 12 + alignUp(nameSize);
    if (
      fields.long(at + 8) === NT_GNU_BUILD_ID &&
      nameSize === 4 &&
      bytes.toString("latin1", at + 12, at + 15) === "GNU"
    ) {
      // Two bytes at least: the debug file's path is made of the first one and the rest.
      if (size < 2 || size > 64 || start + size > bytes.length) return null;
      return bytes.toString("hex", start, start + size);
    }
    at = start + alignUp(size);
  }
  return null;
}

/** Where a separate debug file is to be looked for by name, or null. */
export function readDebugLink(source: ByteSource, layout: ElfLayout): DebugLink | null {
  const section = layout.sections.find((candidate) => candidate.name === ".gnu_debuglink");
  if (section === undefined || section.compressed || section.size < 8 || section.size > LINK_BYTES)
    return null;
  const bytes = source.read(section.offset, section.size);
  if (bytes === null) return null;
  const end = bytes.indexOf(0);
  const crcAt = alignUp(end + 1);
  if (end < 1 || crcAt + 4 > bytes.length) return null;
  const name = bytes.toString("utf8", 0, end);
  if (name.includes("/") || name === "." || name === "..") return null;
  return { name, crc: openFields(bytes, false, layout.littleEndian).long(crcAt) };
}

function alignUp(size: number): number {
  return size + ((4 - (size % 4)) % 4);
}
