import { crc32 } from "node:zlib";
import type { ByteSource } from "./byte-source.ts";
import { readElfHead, type ElfHead } from "./elf.ts";
import type { SymbolLimits } from "./limits.ts";
import { findFile, type OpenFile } from "./open-file.ts";

// Checking a checksum means reading the whole file: only done for files without a build id, which are old and small.
const CHECKSUM_BYTES_MOST = 67_108_864;
const DEBUG_FOLDER = "/usr/lib/debug";

/**
 * Opens the separate file with a stripped program's symbols, as `-dbg` and `-debuginfo` packages install it, or null.
 * `path` is the program's own; `roots` are folders to look below, best first ("" is this machine's root).
 *
 * Found by build id, else by the name in `.gnu_debuglink` (gdb manual, "Debugging Information in Separate Files"), and
 * taken only if its build id, or where there is none its checksum, is the right one.
 */
export async function openDebugFile(
  head: ElfHead,
  path: string,
  roots: readonly string[],
  limits: SymbolLimits,
): Promise<OpenFile | null> {
  const candidates = listCandidates(head, path);
  for (const root of roots) {
    for (const candidate of candidates) {
      const file = await openCandidate(`${root}${candidate}`);
      if (file === null) continue;
      if (isDebugFileOf(head, file, limits)) return file;
      file.close();
    }
  }
  return null;
}

function listCandidates(head: ElfHead, path: string): string[] {
  const candidates: string[] = [];
  const id = head.buildId;
  if (id !== null) candidates.push(`${DEBUG_FOLDER}/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`);
  if (head.debugLink !== null && path.startsWith("/")) {
    const folder = path.slice(0, path.lastIndexOf("/"));
    const name = head.debugLink.name;
    candidates.push(`${folder}/${name}`, `${folder}/.debug/${name}`, `${DEBUG_FOLDER}${folder}/${name}`);
  }
  return candidates;
}

async function openCandidate(path: string): Promise<OpenFile | null> {
  const found = await findFile(path, true);
  if (found === null) return null;
  try {
    return await found.open();
  } finally {
    await found.release();
  }
}

/** Also false for the program itself, which a debug link can name. */
function isDebugFileOf(head: ElfHead, file: OpenFile, limits: SymbolLimits): boolean {
  const debug = readElfHead(file, limits);
  if (debug === null || !debug.hasFullTable || debug.layout.machine !== head.layout.machine) return false;
  if (head.buildId !== null && debug.buildId !== null) return debug.buildId === head.buildId;
  if (head.debugLink === null || file.size > CHECKSUM_BYTES_MOST) return false;
  return checksum(file, file.size) === head.debugLink.crc;
}

function checksum(source: ByteSource, size: number): number | null {
  let sum = 0;
  for (let offset = 0; offset < size; offset += 1_048_576) {
    const bytes = source.read(offset, Math.min(1_048_576, size - offset));
    if (bytes === null) return null;
    sum = crc32(bytes, sum);
  }
  return sum;
}
