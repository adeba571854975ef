import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findField, parseFormat } from "../../../src/host/format.ts";
import { anyText } from "./any-text.ts";

const HOSTS = new URL("../../../fixtures/hosts/", import.meta.url);

function readFixture(path: string): ReturnType<typeof parseFormat> {
  return parseFormat(readFileSync(new URL(path, HOSTS), "utf8"));
}

/** A format file around one `print fmt` argument. */
function wrapSymbols(call: string): string {
  return `name: x\nID: 1\nformat:\n\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: "%s", ${call}\n`;
}

describe("real kernels", () => {
  test("kfree_skb of 7.2 has its fields and every reason", () => {
    const format = readFixture("proc-7.2/sys/kernel/tracing/events/skb/kfree_skb/format");
    expect(format.name).toBe("kfree_skb");
    expect(format.malformed).toBe(0);
    expect(findField(format, "reason")).toEqual({
      name: "reason",
      type: "enum skb_drop_reason",
      offset: 36,
      size: 4,
      signed: false,
      isDataLoc: false,
      isArray: false,
      isCommon: false,
    });
    expect(findField(format, "common_pid")?.isCommon).toBe(true);
    expect(format.symbols["reason"]?.get(3)).toBe("NO_SOCKET");
    expect(format.symbols["reason"]?.size).toBe(125);
  });

  test("kfree_skb of 5.10 has no reason", () => {
    const format = readFixture("proc-5.10/sys/kernel/tracing/events/skb/kfree_skb/format");
    expect(format.fields.filter((field) => !field.isCommon).map((field) => field.name)).toEqual([
      "skbaddr",
      "location",
      "protocol",
    ]);
    expect(format.symbols).toEqual({});
  });

  test("arrays, data locations and flags", () => {
    const reset = readFixture("proc-7.2/sys/kernel/tracing/events/tcp/tcp_send_reset/format");
    expect(findField(reset, "saddr")).toMatchObject({ type: "__u8", size: 28, isArray: true });
    const victim = readFixture("proc-7.2/sys/kernel/tracing/events/oom/mark_victim/format");
    expect(findField(victim, "comm")).toMatchObject({ type: "char", isArray: true, isDataLoc: true });
    const reclaim = readFixture("5.10/vmscan-mm_vmscan_direct_reclaim_begin.format");
    expect(reclaim.flagFields).toEqual(["gfp_flags"]);
    expect(reclaim.symbols["gfp_flags"]?.get(0xcc0)).toBe("GFP_KERNEL");
    expect(reclaim.malformed).toBe(0);
  });
});

describe("symbol tables", () => {
  test.each([
    ['{ 0x10, "A" }', 16],
    ['{ -150ULL, "A" }', -150],
    ['{ (-1), "A" }', -1],
    ['{ (1UL << 4), "A" }', 16],
    ['{( unsigned long)((( gfp_t)((((1UL))) << (11))) | 0x400u), "A"}', 3072],
    ['{ ~0xf & 0xff, "A" }', 240],
    ['{ 1 + 2 * 3, "A" }', 7],
    ['{ 2 << 1 | 1, "A" }', 5],
    ['{ 0100, "A" }', 64],
    ['{ 4294967295U, "A" }', 4_294_967_295],
  ])("%s", (entry, value) => {
    const format = parseFormat(wrapSymbols(`__print_symbolic(REC->a, ${entry})`));
    expect(format.symbols["a"]).toEqual(new Map([[value, "A"]]));
    expect(format.malformed).toBe(0);
  });

  test.each([
    ["REC->a", ["a"]],
    ["(unsigned long)REC->a", ["a"]],
    ["REC->a & 0xffff", ["a"]],
    ["REC->a & ((((0x0 | 0x1) + 1) << 1) - 1)", ["a"]],
    ["(REC->a >> 8 & 0x7)", []],
    ["(1 << REC->a)", []],
    ["REC->a ? REC->a : 0", []],
    ["2ULL", []],
  ])("operand %s", (operand, fields) => {
    const format = parseFormat(wrapSymbols(`__print_flags(${operand}, "|", { 1, "A" })`));
    expect(Object.keys(format.symbols)).toEqual(fields);
    expect(format.flagFields).toEqual(fields);
  });

  test("joined strings, text that looks like code, and later calls", () => {
    const format = parseFormat(
      wrapSymbols(
        '__print_symbolic(REC->a, { 1, "x" "y" }, { 2, "},{\\"(" }), __print_symbolic(REC->b, {3, "z"})',
      ),
    );
    expect(format.symbols["a"]).toEqual(new Map([[1, "xy"], [2, '},{"(']])); // prettier-ignore
    expect(format.symbols["b"]).toEqual(new Map([[3, "z"]]));
  });

  test("what is no constant is counted, the rest stays", () => {
    const format = parseFormat(
      wrapSymbols(
        '__print_symbolic(REC->a, { I_NEW, "N" }, { 1 << 99, "S" }, { 1 / 0, "Z" }, { 5, "F" }, { 6 })',
      ),
    );
    expect(format.symbols["a"]).toEqual(new Map([[5, "F"]]));
    expect(format.malformed).toBe(4);
  });
});

describe("properties", () => {
  test("any text: no throw, and bounded nesting", () => {
    fc.assert(fc.property(anyText, (text) => void parseFormat(text)));
    const piece = fc.constantFrom(
      "(",
      ")",
      "{",
      "}",
      ",",
      '"',
      "\\",
      "REC->a",
      "__print_symbolic(",
      "1",
      "<<",
      "-",
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 200 }),
        (pieces) => void parseFormat(`print fmt: ${pieces.join("")}`),
      ),
    );
    const deep = parseFormat(
      wrapSymbols(`__print_symbolic(REC->a, { ${"(".repeat(50_000)}1${")".repeat(50_000)}, "A" })`),
    );
    expect(deep.malformed).toBe(1);
  });

  test("every table that is written is read back", () => {
    const value = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -300, max: 70_000 }));
    const name = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
      .filter((text) => !/[\n\0]/.test(text));
    const writers = [
      (n: number) => String(n),
      (n: number) => (n < 0 ? `-${-n}LL` : `0x${n.toString(16)}ULL`),
      (n: number) => (n < 0 ? `((${n}))` : `( unsigned long)(${n}U)`),
    ];
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(value, name), { selector: ([n]) => n }),
        fc.nat(),
        (table, seed) => {
          const entries = table.map(([number, text], index) => {
            const write = writers[(seed + index) % writers.length] ?? String;
            return `{ ${write(number)}, "${text.replaceAll(/["\\]/g, "\\$&")}" }`;
          });
          const format = parseFormat(wrapSymbols(`__print_symbolic(${["REC->a", ...entries].join(", ")})`));
          expect(format.symbols["a"]).toEqual(new Map(table));
          expect(format.malformed).toBe(0);
        },
      ),
    );
  });

  test("a field that is called like something of Object is only a field", () => {
    const format = parseFormat(wrapSymbols('__print_symbolic(REC->__proto__, { 1, "A" })'));
    expect(Object.keys(format.symbols)).toEqual(["__proto__"]);
    expect(format.symbols["toString"]).toBeUndefined();
  });
});
