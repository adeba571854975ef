import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseIntegerPart, splitKey } from "../../../src/wire/key.ts";

describe("splitKey", () => {
  test("the last part keeps its commas", () => {
    expect(splitKey("1,2,a,b, c", 3)).toEqual(["1", "2", "a,b, c"]);
    expect(splitKey("operator,(int, char)", 1)).toEqual(["operator,(int, char)"]);
    expect(splitKey("7,", 2)).toEqual(["7", ""]);
    expect(splitKey("", 1)).toEqual([""]);
  });

  test("a key with too few parts is none", () => {
    expect(splitKey("1", 2)).toBeNull();
    expect(splitKey("1,2", 3)).toBeNull();
    expect(splitKey("", 2)).toBeNull();
  });

  test("undoes the join for numbers first and any text last", () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), { maxLength: 5 }),
        fc.string(),
        (numbers, text) => {
          const parts = [...numbers.map(String), text];
          expect(splitKey(parts.join(","), parts.length)).toEqual(parts);
          expect(parts.slice(0, -1).map((part) => BigInt(parseIntegerPart(part) ?? 0))).toEqual(numbers);
        },
      ),
    );
  });
});

describe("parseIntegerPart", () => {
  test("decimal, negative, hexadecimal, exact beyond 2^53", () => {
    expect(parseIntegerPart("0")).toBe(0);
    expect(parseIntegerPart("-0")).toBe(0);
    expect(parseIntegerPart("-42")).toBe(-42);
    expect(parseIntegerPart("9007199254740991")).toBe(9007199254740991);
    expect(parseIntegerPart("9007199254740993")).toBe(9007199254740993n);
    expect(parseIntegerPart("-9223372036854775808")).toBe(-(2n ** 63n));
    expect(parseIntegerPart("0xffffffff82033a51")).toBe(18446744071595833937n);
    expect(parseIntegerPart("0xFF")).toBe(255);
  });

  test.each([
    "",
    "-",
    "0x",
    "1.5",
    "1e3",
    " 1",
    "1 ",
    "1,2",
    "true",
    "0x12345678901234567",
    "123456789012345678901",
    "٣",
  ])("%j is none", (text) => {
    expect(parseIntegerPart(text)).toBeNull();
  });
});
