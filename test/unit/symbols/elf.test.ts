import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readFromBuffer } from "../../../src/symbols/byte-source.ts";
import { readElfHead, readElfSymbols, toElfAddress } from "../../../src/symbols/elf.ts";
import { makeElf, MADE_CODE_OFFSET, type ElfRecipe, type MadeSymbol } from "./make-elf.ts";

const FIXTURES = new URL("../../../fixtures/symbols/", import.meta.url);

function readFixture(name: string): Buffer {
  return readFileSync(new URL(name, FIXTURES));
}

function open(bytes: Buffer) {
  const source = readFromBuffer(bytes);
  const head = readElfHead(source);
  if (head === null) throw new Error("not an ELF file");
  const elf = readElfSymbols(source, head.layout);
  const nameAt = (address: number): string | null => {
    const index = elf.symbols.find(address);
    return index === -1 ? null : elf.symbols.readName(index, 4096).text;
  };
  return { head, elf, nameAt };
}

/** Functions as `nm` printed them: name → address. */
function readNm(name: string): Map<string, number> {
  const lines = readFixture(name).toString("utf8").split("\n");
  const functions = lines
    .map((line) => /^([0-9a-f]+) [TtWw] (\w+)$/.exec(line))
    .filter((match) => match !== null);
  return new Map(functions.map((match) => [match[2]!, Number.parseInt(match[1]!, 16)]));
}

describe("ELF files made by GCC", () => {
  it.each([
    ["pie", "dyn", 64],
    ["exec", "exec", 64],
    ["exec32", "exec", 32],
  ] as const)("names the functions of %s as nm does", (name, kind, bits) => {
    const { head, elf, nameAt } = open(readFixture(name));
    const functions = readNm(`${name}.nm`);
    expect(head.layout).toMatchObject({ kind, bits, littleEndian: true });
    expect(elf.table).toBe("symtab");
    for (const wanted of ["fold_numbers", "hidden_step", "_start"]) {
      const address = functions.get(wanted)!;
      expect(nameAt(address)).toBe(wanted);
      expect(nameAt(address + 3)).toBe(wanted);
    }
  });

  it("prefers the plain name of two for one address, and does not name data", () => {
    const { nameAt } = open(readFixture("pie"));
    const functions = readNm("pie.nm");
    expect(functions.get("__weak_fold")).toBe(functions.get("fold_numbers"));
    expect(nameAt(functions.get("__weak_fold")!)).toBe("fold_numbers");
    expect(nameAt(functions.get("data_start")!)).toBeNull();
  });

  it("names PLT stubs by what they call", () => {
    const { elf } = open(readFixture("pie"));
    const start = elf.plt!.start;
    expect([0, 16, 31].map((offset) => elf.plt!.nameAt(start + offset))).toEqual([
      "puts@plt",
      "getpid@plt",
      "getpid@plt",
    ]);
    expect(elf.plt!.end).toBe(start + 32);
  });

  it("finds build id and debug link, and has no names in a stripped file", () => {
    const whole = open(readFixture("pie"));
    const stripped = open(readFixture("stripped"));
    const debug = open(readFixture("pie.debug"));
    expect(whole.head.buildId).toMatch(/^[0-9a-f]{40}$/);
    expect(stripped.head.buildId).toBe(whole.head.buildId);
    expect(stripped.head.debugLink?.name).toBe("pie.debug");
    expect(stripped.head.hasFullTable).toBe(false);
    expect(stripped.elf.table).toBe("none");
    expect(debug.head.buildId).toBe(whole.head.buildId);
    expect(debug.nameAt(readNm("pie.nm").get("hidden_step")!)).toBe("hidden_step");
  });
});

const EVERY_FORM = [
  { bits: 64, littleEndian: true },
  { bits: 64, littleEndian: false },
  { bits: 32, littleEndian: true },
  { bits: 32, littleEndian: false },
] as const;

describe.each(EVERY_FORM)("an ELF file of $bits bits, little endian: $littleEndian", (form) => {
  const make = (symbols: readonly MadeSymbol[], rest: Partial<ElfRecipe> = {}) =>
    open(makeElf({ ...form, symbols, ...rest }));

  it("reads names, sizes, addresses and build id", () => {
    const { head, nameAt } = make(
      [
        { name: "second", value: 0x1100, size: 0x20 },
        { name: "first", value: 0x1000, size: 0x10 },
      ],
      { buildId: "00112233445566778899aabbccddeeff00112233" },
    );
    expect(head.layout).toMatchObject(form);
    expect(head.buildId).toBe("00112233445566778899aabbccddeeff00112233");
    expect([0xfff, 0x1000, 0x100f, 0x1010, 0x1100, 0x111f, 0x1120].map(nameAt)).toEqual([
      null,
      "first",
      "first",
      null,
      "second",
      "second",
      null,
    ]);
    expect(toElfAddress(head.layout, MADE_CODE_OFFSET + 0x110)).toBe(0x1110);
    expect(toElfAddress(head.layout, MADE_CODE_OFFSET + 0x1000)).toBeNull();
    expect(toElfAddress(head.layout, MADE_CODE_OFFSET - 1)).toBeNull();
  });

  it("lets a symbol without size reach to the next one, but not out of its section", () => {
    const { nameAt } = make([
      { name: "open", value: 0x1000 },
      { name: "next", value: 0x1800 },
    ]);
    expect([0x17ff, 0x1800, 0x1fff, 0x2000].map(nameAt)).toEqual(["open", "next", "next", null]);
  });

  it("uses .dynsym where there is no .symtab", () => {
    const { elf, nameAt } = make([{ name: "exported", value: 0x1000, size: 4 }], { table: 11 });
    expect(elf.table).toBe("dynsym");
    expect(nameAt(0x1002)).toBe("exported");
  });
});

const makeCommon = (symbols: readonly MadeSymbol[], rest: Partial<ElfRecipe> = {}) =>
  open(makeElf({ bits: 64, littleEndian: true, symbols, ...rest }));

describe("symbols of other kinds", () => {
  it("takes labels only where no function is, and no data, undefined, mapping or absolute symbol", () => {
    const { elf, nameAt } = makeCommon([
      { name: "function", value: 0x1000, size: 0x100 },
      { name: "label_inside", value: 0x1010, type: 0 },
      { name: "label_outside", value: 0x1200, type: 0 },
      { name: "object", value: 0x1300, size: 8, type: 1 },
      { name: "undefined", value: 0x1400, section: 0 },
      { name: "$x", value: 0x1500, type: 0 },
      { name: "absolute", value: 0x1600, type: 0, section: 0xfff1 },
      { name: "elsewhere", value: 0x9000, size: 8 },
      { name: "", value: 0x1700, size: 8 },
    ]);
    expect(elf.symbols.count).toBe(2);
    expect(nameAt(0x1020)).toBe("function");
    expect(nameAt(0x1710)).toBe("label_outside");
  });

  it("finds the function around one that has ended", () => {
    const { nameAt } = makeCommon([
      { name: "outer", value: 0x1000, size: 0x100 },
      { name: "inner", value: 0x1010, size: 0x10 },
    ]);
    expect([0x1008, 0x1018, 0x1020, 0x10ff, 0x1100].map(nameAt)).toEqual([
      "outer",
      "inner",
      "outer",
      "outer",
      null,
    ]);
  });

  it("chooses one of several names for an address by rule, not by order", () => {
    const aliases: MadeSymbol[] = [
      { name: "__GI_write", value: 0x1000, size: 8, binding: 0 },
      { name: "write_everything", value: 0x1000, size: 8 },
      { name: "write", value: 0x1000, size: 8, binding: 2 },
      { name: "writev", value: 0x1000, size: 8 },
      { name: "a_label", value: 0x1000, type: 0 },
      { name: "resolver", value: 0x1000, size: 8, type: 10 },
    ];
    expect(makeCommon(aliases).nameAt(0x1000)).toBe("writev");
    expect(makeCommon(aliases.toReversed()).nameAt(0x1000)).toBe("writev");
    expect(makeCommon(aliases.slice(4)).nameAt(0x1000)).toBe("resolver");
  });

  it("drops the Thumb bit of ARM functions", () => {
    const arm = open(
      makeElf({
        bits: 32,
        littleEndian: true,
        machine: 40,
        symbols: [{ name: "thumb", value: 0x1001, size: 4 }],
      }),
    );
    expect(arm.nameAt(0x1000)).toBe("thumb");
  });

  it("cuts long names and says so", () => {
    const { elf } = makeCommon([{ name: "x".repeat(5000), value: 0x1000, size: 8 }]);
    expect(elf.symbols.readName(0, 4096)).toEqual({ text: "x".repeat(4096), cut: true });
    expect(elf.symbols.readName(0, 5000).cut).toBe(false);
    expect(elf.symbols.readName(1, 10)).toEqual({ text: "", cut: false });
  });
});
