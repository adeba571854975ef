import { readFromBuffer } from "./byte-source.ts";
import { createDemangler, type Demangle } from "./demangle.ts";
import { openDebugFile } from "./debug-file.ts";
import { ElfModule, type Budget } from "./elf-module.ts";
import { readElfHead } from "./elf.ts";
import type { SymbolLimits } from "./limits.ts";
import type { Mapping } from "./maps.ts";
import { findFile, identifyFile, type FoundFile } from "./open-file.ts";
import { readOwnVdso } from "./vdso.ts";

const FILES_MOST = 65_536;

/** The executables and libraries of all processes, each opened once. */
export class ModuleCache {
  readonly #limits: SymbolLimits;
  readonly #demangle: Demangle = createDemangler();
  readonly #budget: Budget;
  /** By file and content (`FoundFile.key`); null for what is no ELF file. */
  readonly #modules = new Map<string, ElfModule | null>();
  /** Modules whose files are open, the oldest first. */
  readonly #open = new Set<ElfModule>();
  #vdso: { readonly size: number; readonly module: ElfModule } | null | undefined;

  constructor(limits: SymbolLimits) {
    this.#limits = limits;
    this.#budget = { left: limits.totalBytes };
  }

  /** Modules seen, those with symbols read, and the memory of these in bytes; how many had none for want of budget. */
  get counts(): { modules: number; read: number; bytes: number; skipped: number } {
    const modules = [...this.#modules.values()].filter((module) => module !== null);
    const read = modules.filter((module) => module.bytes > 0);
    return {
      modules: modules.length,
      read: read.length,
      bytes: read.reduce((sum, module) => sum + module.bytes, 0),
      skipped: modules.filter((module) => module.table === "skipped").length,
    };
  }

  /**
   * The ELF file that process `pid` has mapped, or null where it cannot be had or is none.
   * `folder` is /proc/PID.
   */
  async open(folder: string, mapping: Mapping): Promise<ElfModule | null> {
    const seen = mapping.deleted ? null : await identifyFile(inRoot(folder, mapping));
    const module = seen?.inode === mapping.inode ? this.#modules.get(seen.key) : undefined;
    return module === undefined ? this.#openNew(folder, mapping) : module;
  }

  /** The vDSO where it has `size` bytes as ours (a 32-bit process has another one), else null. */
  openVdso(size: number): ElfModule | null {
    if (this.#vdso === undefined) this.#vdso = this.#readVdso();
    return this.#vdso?.size === size ? this.#vdso.module : null;
  }

  close(): void {
    for (const module of this.#open) module.close();
    this.#open.clear();
  }

  async #openNew(folder: string, mapping: Mapping): Promise<ElfModule | null> {
    const found = await findMapped(folder, mapping);
    if (found === null) return null;
    try {
      const known = this.#modules.get(found.key);
      if (known !== undefined) return known;
      if (this.#modules.size >= FILES_MOST) return null;
      const module = await this.#read(folder, mapping, found);
      // Another process can have been quicker with the same file.
      const quicker = this.#modules.get(found.key);
      if (quicker !== undefined) {
        module?.close();
        return quicker;
      }
      this.#modules.set(found.key, module);
      if (module !== null) this.#limitOpenFiles(module);
      return module;
    } finally {
      await found.release();
    }
  }

  async #read(folder: string, mapping: Mapping, found: FoundFile): Promise<ElfModule | null> {
    const source = await found.open();
    if (source === null) return null;
    const head = readElfHead(source, this.#limits);
    if (head === null) {
      source.close();
      return null;
    }
    // The debug package can be installed in the container or, by build id just as good, on the host.
    const debug = head.hasFullTable
      ? null
      : await openDebugFile(head, mapping.path, [`${folder}/root`, ""], this.#limits);
    const module = this.#create(mapping.path.slice(mapping.path.lastIndexOf("/") + 1), {
      head,
      source,
      debug,
    });
    // What was read into memory is read on to symbols, so that it need not stay there.
    if (source.inMemory || debug?.inMemory === true) module.load();
    return module;
  }

  #readVdso(): { size: number; module: ElfModule } | null {
    const bytes = readOwnVdso();
    if (bytes === null) return null;
    const source = { ...readFromBuffer(bytes), close: (): void => undefined };
    const head = readElfHead(source, this.#limits);
    if (head === null) return null;
    return { size: bytes.length, module: this.#create("[vdso]", { head, source, debug: null }) };
  }

  #create(name: string, files: ConstructorParameters<typeof ElfModule>[1]): ElfModule {
    return new ElfModule(name, files, {
      limits: this.#limits,
      budget: this.#budget,
      demangle: this.#demangle,
    });
  }

  #limitOpenFiles(added: ElfModule): void {
    if (added.table === null) this.#open.add(added);
    for (const module of this.#open) {
      if (module.table !== null) this.#open.delete(module);
      else if (this.#open.size > this.#limits.openFiles) {
        this.#open.delete(module);
        module.load();
      } else break;
    }
  }
}

/**
 * The file behind a mapping. By its path in the process' own root, if that is still the same file; else by
 * /proc/PID/map_files, which is the mapped file itself, deleted or not, but is for the administrator only (proc_pid_map_files(5));
 * else by its path here: a process in a chroot sees another root than the one that the path starts from.
 */
async function findMapped(folder: string, mapping: Mapping): Promise<FoundFile | null> {
  const range = `${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
  if (!mapping.deleted) {
    const found = await findInode(inRoot(folder, mapping), mapping.inode);
    if (found !== null) return found;
  }
  return (
    (await findFile(`${folder}/map_files/${range}`, true)) ??
    (mapping.deleted ? null : await findInode(mapping.rawPath, mapping.inode))
  );
}

function inRoot(folder: string, mapping: Mapping): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/root`), mapping.rawPath]);
}

async function findInode(path: Buffer, inode: string): Promise<FoundFile | null> {
  const found = await findFile(path, true);
  if (found === null || found.inode === inode) return found;
  await found.release();
  return null;
}
