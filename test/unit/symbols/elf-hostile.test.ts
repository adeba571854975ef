import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFromBuffer, type ByteSource } from "../../../src/symbols/byte-source.ts";
import { readFunctions } from "../../../src/symbols/elf-functions.ts";
import { readElfHead, readElfSymbols, type ElfHead } from "../../../src/symbols/elf.ts";
import { DEFAULT_LIMITS } from "../../../src/symbols/limits.ts";
import type { SymbolTable } from "../../../src/symbols/symbol-table.ts";
import { makeElf } from "./make-elf.ts";

const FIXTURES = new URL("../../../fixtures/symbols/", import.meta.url);
const FILES = [
  ...["pie", "exec", "exec32", "stripped", "pie.debug"].map((name) => readFileSync(new URL(name, FIXTURES))),
  makeElf({ bits: 32, littleEndian: false, symbols: [{ name: "f", value: 0x1000 }] }),
  makeElf({
    bits: 64,
    littleEndian: true,
    table: 11,
    symbols: [],
    unwind: { functions: Array.from({ length: 20 }, (_, i) => ({ start: 0x1000 + i * 16, size: 16 })) },
  }),
];

/** Reads everything there is to read. True when what was found holds together. */
function isReadable(source: ByteSource): boolean {
  const head = readElfHead(source);
  if (head === null) return true;
  const { symbols, plt, functions } = readElfSymbols(source, head.layout);
  for (const layout of [head.layout, { ...head.layout, sections: [] }]) {
    if (!areInCode(readFunctions(source, layout, DEFAULT_LIMITS), head)) return false;
  }
  if (!areInCode(functions, head)) return false;
  if (plt !== null) for (let at = plt.start; at < plt.end; at += 16) plt.nameAt(at);
  for (let i = 0; i < symbols.count; i++) {
    const start = symbols.startOf(i);
    if (symbols.readName(i, 64).text.length > 64 || symbols.find(start) > i) return false;
    if (i > 0 && start <= symbols.startOf(i - 1)) return false;
  }
  return true;
}

/** Every function begins in code, and is found by where it begins. */
function areInCode(functions: SymbolTable, { layout }: ElfHead): boolean {
  const code = layout.segments.filter((segment) => segment.executable);
  for (let i = 0; i < functions.count; i++) {
    const start = functions.startOf(i);
    if (!code.some(({ address, fileSize }) => start >= address && start < address + fileSize)) return false;
    if (functions.find(start) !== i) return false;
  }
  return true;
}

describe("damaged ELF files", () => {
  const damage = fc.record({
    file: fc.constantFrom(...FILES),
    changes: fc.array(fc.tuple(fc.nat(), fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255))), {
      maxLength: 40,
    }),
    length: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.boolean(),
  });

  it("never throw, wherever bytes changed or the file ends", () => {
    fc.assert(
      fc.property(damage, ({ file, changes, length, cut }) => {
        const bytes = Buffer.from(file.subarray(0, cut ? Math.floor(file.length * length) : file.length));
        for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
        expect(isReadable(readFromBuffer(bytes))).toBe(true);
      }),
      { numRuns: 1500 },
    );
  });

  it("never throw when only headers are damaged", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FILES),
        fc.array(fc.tuple(fc.nat(119), fc.nat(255)), { minLength: 1 }),
        (file, changes) => {
          const bytes = Buffer.from(file);
          for (const [at, value] of changes) bytes[at < 60 ? at : bytes.length - 1 - (at - 60) * 8] = value;
          expect(isReadable(readFromBuffer(bytes))).toBe(true);
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("reads no arbitrary bytes as a file", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(isReadable(readFromBuffer(Buffer.from(bytes)))).toBe(true);
        expect(
          isReadable(readFromBuffer(Buffer.concat([FILES[0]!.subarray(0, 16), Buffer.from(bytes)]))),
        ).toBe(true);
      }),
    );
  });
});

/** A file that says yes to every range, as a sparse file of many terabytes would: 0xff everywhere but in its header. */
function endlessFile(header: Buffer): { source: ByteSource; largest: () => number; total: () => number } {
  let largest = 0;
  let total = 0;
  return {
    largest: () => largest,
    total: () => total,
    source: {
      read(offset, length) {
        largest = Math.max(largest, length);
        total += length;
        const bytes = Buffer.alloc(length, 0xff);
        header.copy(bytes, 0, Math.min(offset, header.length), Math.min(offset + length, header.length));
        return bytes;
      },
    },
  };
}

describe("ELF files made to be expensive", () => {
  const limits = {
    ...DEFAULT_LIMITS,
    symbols: 10_000,
    stringTableBytes: 1_000_000,
    unwindBytes: 1_000_000,
    sections: 1000,
    segments: 100,
  };

  it("reads no more than the limits say when every count and offset is the highest", () => {
    const pie = readFileSync(new URL("pie", FIXTURES));
    for (const at of [null, 32, 40, 54, 56, 58, 60, 62]) {
      const header = Buffer.from(pie.subarray(0, 64));
      if (at !== null) header.fill(0xff, at, at + (at < 48 ? 8 : 2));
      const endless = endlessFile(header);
      const head = readElfHead(endless.source, limits);
      if (head !== null) readElfSymbols(endless.source, head.layout, limits);
      expect(endless.largest()).toBeLessThanOrEqual(4 * 1024 * 1024);
      expect(endless.total()).toBeLessThanOrEqual(16 * 1024 * 1024);
    }
  });

  it("takes no more symbols and no longer string table than the limits say", () => {
    const symbols = Array.from({ length: 300 }, (_, i) => ({ name: `f${i}`, value: 0x1000 + i, size: 1 }));
    const source = readFromBuffer(makeElf({ bits: 64, littleEndian: true, symbols }));
    const { layout } = readElfHead(source)!;
    expect(readElfSymbols(source, layout).symbols.count).toBe(300);
    // The first entry of a table is always empty.
    expect(readElfSymbols(source, layout, { ...limits, symbols: 101 }).symbols.count).toBe(100);
    expect(readElfSymbols(source, layout, { ...limits, stringTableBytes: 100 }).symbols.count).toBe(0);
  });

  it("sorts a hundred thousand names for one address without comparing them all", () => {
    const name = "a".repeat(60);
    const symbols = Array.from({ length: 100_000 }, (_, i) => ({
      name: i === 0 ? name : "",
      value: 0x1000,
      size: 1,
    }));
    const bytes = makeElf({ bits: 64, littleEndian: true, symbols });
    const source = readFromBuffer(bytes);
    const { layout } = readElfHead(source)!;
    // Every entry but the first names the empty string: point them all to the long one.
    const table = layout.sections.find((section) => section.type === 2)!;
    for (let i = 1; i <= symbols.length; i++) bytes.writeUInt32LE(1, table.offset + i * 24);
    const started = performance.now();
    expect(readElfSymbols(source, layout).symbols.count).toBe(1);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
