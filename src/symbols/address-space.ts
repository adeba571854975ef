import type { ElfModule } from "./elf-module.ts";
import { frameAtOffset, JIT_FRAME, unknownFrame, type UserFrame } from "./frame.ts";
import type { JitCode } from "./jit-code.ts";
import type { Mapping, Maps } from "./maps.ts";
import type { ModuleCache } from "./module-cache.ts";
import { findLast } from "./radix-sort.ts";

/** What one mapping of a process is to us. */
type Region =
  | { readonly kind: "elf"; readonly module: ElfModule; readonly start: number; readonly offset: number }
  // An executable file that is no ELF file (or could not be read), or memory where a compiler may have put code.
  | { readonly kind: "code"; readonly name: string | null; readonly start: number; readonly offset: number }
  // Memory that is not executable now. `anonymous` memory may have been when a compiler filled it.
  | { readonly kind: "data"; readonly frame: UserFrame; readonly anonymous: boolean };

/** The memory of a process at one moment: it stays as it was when the process goes on or ends. */
export interface AddressSpace {
  /** Counts the programs that the process has run: 0 before its first exec since it was first seen, then 1, …. */
  readonly generation: number;
  /** `ProcessIdentity.key` of the program. */
  readonly identity: string;
  /** Ascending, without overlap. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  readonly regions: readonly Region[];
  /** Lines of the maps that could not be read, or were over the limit. */
  readonly incomplete: boolean;
}

/** Opens what a process has mapped. `folder` is its folder in /proc. */
export async function openAddressSpace(
  folder: string,
  maps: Maps,
  program: { generation: number; identity: string },
  modules: ModuleCache,
): Promise<AddressSpace> {
  const { mappings } = maps;
  const opened = new Map<string, ElfModule | null>();
  const regions: Region[] = [];
  for (const mapping of mappings) {
    const key = `${mapping.inode} ${mapping.path}`;
    if (isCodeFile(mapping) && !opened.has(key)) opened.set(key, await modules.open(folder, mapping));
    regions.push(toRegion(mapping, opened.get(key) ?? null, modules));
  }
  return {
    ...program,
    starts: Float64Array.from(mappings, (mapping) => mapping.start),
    ends: Float64Array.from(mappings, (mapping) => mapping.end),
    regions,
    incomplete: maps.truncated || maps.malformed > 0,
  };
}

/** Also memory that a program was put into and run from (memfd_create, fexecve); what else such memory holds is a compiler's code. */
function isCodeFile(mapping: Mapping): boolean {
  return mapping.executable && (mapping.kind === "file" || mapping.path.startsWith("/memfd:"));
}

function toRegion(mapping: Mapping, module: ElfModule | null, modules: ModuleCache): Region {
  const { start, offset } = mapping;
  if (mapping.kind === "vdso") {
    const vdso = modules.openVdso(mapping.end - start);
    if (vdso !== null) return { kind: "elf", module: vdso, start, offset: 0 };
    return { kind: "code", name: "[vdso]", start, offset: 0 };
  }
  if (!mapping.executable) return toData(mapping);
  if (module !== null) return { kind: "elf", module, start, offset };
  if (mapping.kind === "file") return { kind: "code", name: baseName(mapping.path), start, offset };
  // Kernel-made code has a name in brackets: [uprobes], [vectors], [sigpage].
  if (mapping.kind === "special" && !mapping.path.startsWith("[heap") && !mapping.path.startsWith("[stack")) {
    return { kind: "code", name: mapping.path, start, offset };
  }
  return { kind: "code", name: null, start, offset };
}

/** An address in memory that is not executable is no code: a stack that could not be followed. */
function toData(mapping: Mapping): Region {
  const anonymous = mapping.kind === "anonymous";
  const name = anonymous ? "[anon]" : mapping.kind === "file" ? baseName(mapping.path) : mapping.path;
  return { kind: "data", frame: unknownFrame(name), anonymous };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The number of the mapping that holds `address`, or -1. */
export function findRegion(space: AddressSpace, address: number): number {
  const index = findLast(space.starts, address);
  return index !== -1 && address < space.ends[index]! ? index : -1;
}

/** What stands at an address within mapping number `region`. */
export function frameInRegion(
  space: AddressSpace,
  region: number,
  address: number,
  jit: JitCode | null,
): UserFrame {
  const found = space.regions[region]!;
  if (found.kind === "elf") return found.module.frameAt(address - found.start + found.offset);
  if (found.kind === "data") return (found.anonymous ? jit?.frameAt(address) : null) ?? found.frame;
  const frame = jit?.frameAt(address) ?? null;
  if (frame !== null) return frame;
  return found.name === null ? JIT_FRAME : frameAtOffset(found.name, address - found.start + found.offset);
}

/**
 * What stands at an address if this memory is a copy of the one that is meant (fork). Null where it cannot be told: only code that is put at
 * random addresses is taken; what is linked at fixed ones can be any program's.
 */
export function frameInCopy(space: AddressSpace, address: number): UserFrame | null {
  const found = space.regions[findRegion(space, address)];
  if (found?.kind !== "elf" || found.module.head.layout.kind !== "dyn") return null;
  return found.module.frameAt(address - found.start + found.offset);
}

/** Whether the process has executable memory that no ELF file explains. */
export function hasUnexplainedCode(space: AddressSpace): boolean {
  return space.regions.some((region) => region.kind === "code");
}
