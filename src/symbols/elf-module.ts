import type { ByteSource } from "./byte-source.ts";
import type { Demangle } from "./demangle.ts";
import { readElfHead, readElfSymbols, toElfAddress, type ElfHead, type ElfSymbols } from "./elf.ts";
import { frameAtOffset, type UserFrame } from "./frame.ts";
import type { SymbolLimits } from "./limits.ts";

/** Bytes that the symbol tables of all files together may still take. */
export interface Budget {
  left: number;
}

interface Closable extends ByteSource {
  close(): void;
}

const OFFSETS_KEPT = 65_536;

/** An executable or library. Its symbols are read when the first of its addresses is asked for, and its files then closed. */
export class ElfModule {
  readonly name: string;
  readonly head: ElfHead;
  /** Where the symbols came from; null before they were read. `skipped`: the budget was used up. */
  table: "symtab" | "dynsym" | "debug" | "none" | "skipped" | null = null;
  readonly #limits: SymbolLimits;
  readonly #budget: Budget;
  readonly #demangle: Demangle;
  #source: Closable | null;
  #debug: Closable | null;
  #elf: ElfSymbols | null = null;
  readonly #frames = new Map<number, UserFrame>();
  readonly #offsets = new Map<number, UserFrame>();

  /** Owns `source` and `debug` (the separate file with its symbols). `name` is shown as the module. */
  constructor(
    name: string,
    files: { head: ElfHead; source: Closable; debug: Closable | null },
    shared: { limits: SymbolLimits; budget: Budget; demangle: Demangle },
  ) {
    this.name = name;
    this.head = files.head;
    this.#source = files.source;
    this.#debug = files.debug;
    this.#limits = shared.limits;
    this.#budget = shared.budget;
    this.#demangle = shared.demangle;
  }

  /** Memory that its symbols take, in bytes. */
  get bytes(): number {
    return this.#elf === null ? 0 : this.#elf.symbols.bytes + this.#elf.functions.bytes;
  }

  /** What stands at a byte of the file. */
  frameAt(fileOffset: number): UserFrame {
    if (this.table === null) this.load();
    const address = toElfAddress(this.head.layout, fileOffset);
    if (address === null) return this.#keepOffset(fileOffset);
    const index = this.#elf === null ? -1 : this.#elf.symbols.find(address);
    if (index === -1) return this.#frameWithoutSymbol(address);
    const known = this.#frames.get(index);
    if (known !== undefined) return known;
    const frame: UserFrame = { name: this.#readName(index), module: this.name, kind: "symbol" };
    this.#frames.set(index, frame);
    return frame;
  }

  /** Reads the symbols now and closes the files. */
  load(): void {
    const source = this.#source;
    if (source === null) return;
    const limits = this.#shrinkLimits();
    if (limits === null) this.table = "skipped";
    else {
      const own = readElfSymbols(source, this.head.layout, limits);
      const better = this.#debug === null ? null : readDebugSymbols(this.#debug, limits);
      this.#elf = better === null ? own : { ...own, symbols: better.symbols, functions: better.functions };
      this.table = better === null ? own.table : "debug";
      this.#budget.left -= this.bytes;
    }
    this.close();
  }

  close(): void {
    this.#source?.close();
    this.#debug?.close();
    this.#source = null;
    this.#debug = null;
    this.table ??= "none";
  }

  /** Limits within what is left of the budget; null when nothing is. */
  #shrinkLimits(): SymbolLimits | null {
    const left = this.#budget.left;
    if (left <= 0) return null;
    return {
      ...this.#limits,
      stringTableBytes: Math.min(this.#limits.stringTableBytes, left),
      symbols: Math.min(this.#limits.symbols, Math.ceil(left / 20)),
    };
  }

  #readName(index: number): string {
    const name = this.#elf?.symbols.readName(index, this.#limits.nameBytes);
    if (name === undefined) return "";
    return name.cut ? `${name.text}…` : this.#demangle(name.text);
  }

  #frameWithoutSymbol(address: number): UserFrame {
    const plt = this.#elf?.plt;
    const stub = plt && address >= plt.start && address < plt.end ? plt.nameAt(address) : null;
    if (stub !== null && stub !== undefined)
      return { name: this.#demangleStub(stub), module: this.name, kind: "symbol" };
    const index = this.#elf?.functions.find(address) ?? -1;
    return this.#elf === null || index === -1
      ? this.#keepOffset(address)
      : this.#keepOffset(this.#elf.functions.startOf(index), "function");
  }

  #demangleStub(stub: string): string {
    return `${this.#demangle(stub.slice(0, -"@plt".length))}@plt`;
  }

  #keepOffset(address: number, kind: "function" | "module-offset" = "module-offset"): UserFrame {
    const known = this.#offsets.get(address);
    if (known?.kind === kind) return known;
    const frame = frameAtOffset(this.name, address, kind);
    if (this.#offsets.size < OFFSETS_KEPT) this.#offsets.set(address, frame);
    return frame;
  }
}

function readDebugSymbols(debug: ByteSource, limits: SymbolLimits): ElfSymbols | null {
  const head = readElfHead(debug, limits);
  const symbols = head === null ? null : readElfSymbols(debug, head.layout, limits);
  return symbols?.table === "symtab" ? symbols : null;
}
