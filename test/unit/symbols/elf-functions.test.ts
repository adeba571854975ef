import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFromBuffer } from "../../../src/symbols/byte-source.ts";
import { readElfHead, readElfSymbols } from "../../../src/symbols/elf.ts";
import { DEFAULT_LIMITS } from "../../../src/symbols/limits.ts";
import { makeElf, type ElfRecipe } from "./make-elf.ts";

const DYNSYM = 11;

/** By address: where its function begins, or null. */
function open(recipe: Partial<ElfRecipe>, limits = DEFAULT_LIMITS) {
  const source = readFromBuffer(
    makeElf({ bits: 64, littleEndian: true, symbols: [], table: DYNSYM, ...recipe }),
  );
  const { functions } = readElfSymbols(source, readElfHead(source)!.layout, limits);
  const startAt = (address: number): number | null => {
    const index = functions.find(address);
    return index === -1 ? null : functions.startOf(index);
  };
  return { functions, startAt };
}

/** Functions one after the other in the code section, which is from 0x1000 to 0x2000, some with a gap before them. */
const functionLists = fc
  .array(fc.record({ gap: fc.nat(20), size: fc.integer({ min: 1, max: 60 }) }), { maxLength: 40 })
  .map((pieces) => {
    let at = 0x1000;
    return pieces.map(({ gap, size }) => {
      const start = at + gap;
      at = start + size;
      return { start, size };
    });
  });

const forms = fc.record({
  bits: fc.constantFrom(32 as const, 64 as const),
  littleEndian: fc.boolean(),
  // Absolute and relative to itself, each in words, 2 (absolute), 4 and 8 bytes, with sign and without.
  encoding: fc.constantFrom(0x00, 0x02, 0x03, 0x04, 0x0a, 0x0b, 0x0c, 0x10, 0x14, 0x1b, 0x1c),
});

describe("functions by unwind tables", () => {
  it("are found from their first byte to their last, in every form", () => {
    fc.assert(
      fc.property(forms, functionLists, ({ encoding, ...form }, list) => {
        const { functions, startAt } = open({ ...form, unwind: { functions: list, encoding } });
        expect(functions.count).toBe(list.length);
        for (const [i, { start, size }] of list.entries()) {
          expect([startAt(start), startAt(start + size - 1)]).toEqual([start, start]);
          const next = list[i + 1]?.start;
          expect(startAt(start + size)).toBe(next === start + size ? next : null);
        }
      }),
    );
  });

  it("are read only where no table of symbols has them all", () => {
    const unwind = { functions: [{ start: 0x1000, size: 16 }] };
    const symbols = [{ name: "known", value: 0x1100, size: 8 }];
    expect(open({ symbols, table: 2, unwind }).functions.count).toBe(0);
    expect(open({ symbols, table: DYNSYM, unwind }).functions.count).toBe(1);
  });

  it("outside of the code, empty, or written as no linker writes them, are none", () => {
    const list = [
      { start: 0x500, size: 16 },
      { start: 0x1100, size: 0 },
      { start: 0x1200, size: 16 },
      { start: 0x2000, size: 16 },
    ];
    const { functions, startAt } = open({ unwind: { functions: list } });
    expect(functions.count).toBe(1);
    expect(startAt(0x1208)).toBe(0x1200);
    const one = [{ start: 0x1200, size: 16 }];
    for (const encoding of [0x3b, 0x9b, 0x0f])
      expect(open({ unwind: { functions: one, encoding } }).functions.count).toBe(0);
    for (const augmentation of ["zX", "eh", "z".repeat(9)])
      expect(open({ unwind: { functions: one, augmentation } }).functions.count).toBe(0);
  });

  it("end with their segment, and stay within the limits", () => {
    const { startAt } = open({ unwind: { functions: [{ start: 0x1ff0, size: 0x1000 }] } });
    expect([startAt(0x1fff), startAt(0x2000)]).toEqual([0x1ff0, null]);
    const list = Array.from({ length: 100 }, (_, i) => ({ start: 0x1000 + i, size: 1 }));
    // One record of the table is no function.
    expect(
      open({ unwind: { functions: list } }, { ...DEFAULT_LIMITS, symbols: 51 }).functions.count,
    ).toBeLessThanOrEqual(51);
    expect(
      open({ unwind: { functions: list } }, { ...DEFAULT_LIMITS, unwindBytes: 1000 }).functions.count,
    ).toBe(0);
  });
});
