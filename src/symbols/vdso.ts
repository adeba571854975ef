import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { parseMaps } from "./maps.ts";

const VDSO_BYTES_MOST = 1_048_576;
const MAPPINGS_MOST = 131_072;

/**
 * The kernel's vDSO, an ELF library that exists only in memory, read from this process' own: every 64-bit process of a
 * kernel has the same one. Null where that is not possible.
 */
export function readOwnVdso(): Buffer | null {
  let fd: number | null = null;
  try {
    const { mappings } = parseMaps(readFileSync("/proc/self/maps"), MAPPINGS_MOST);
    const vdso = mappings.find((mapping) => mapping.kind === "vdso");
    const size = vdso === undefined ? 0 : vdso.end - vdso.start;
    if (vdso === undefined || size > VDSO_BYTES_MOST) return null;
    const bytes = Buffer.alloc(size);
    fd = openSync("/proc/self/mem", "r");
    return readSync(fd, bytes, 0, size, vdso.start) === size ? bytes : null;
  } catch {
    return null;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
