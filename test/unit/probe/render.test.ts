import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TraceError } from "../../../src/error.ts";
import { identifier, literal, renderProgram } from "../../../src/probe/render.ts";

describe("renderProgram", () => {
  test("puts values, takes conditions, repeats lists", () => {
    const template = [
      "a ${n}",
      "//#if yes",
      "kept",
      "//#else",
      "gone",
      "//#end",
      "//#if !yes",
      "gone",
      "//#end",
      "//#each items",
      "item ${id}",
      "//#end",
    ].join("\n");
    const text = renderProgram(template, { n: 5n, yes: true, items: [{ id: 1 }, { id: 2 }] });
    expect(text.split("\n")).toEqual(["a 5", "kept", "item 1", "item 2"]);
  });

  test("nested conditions hide what is inside a false one", () => {
    const template = "//#if a\n//#if b\nboth\n//#else\nonly a\n//#end\n//#end\nend";
    expect(renderProgram(template, { a: false, b: true })).toBe("end");
    expect(renderProgram(template, { a: true, b: false })).toBe("only a\nend");
  });

  test.each([
    ["${missing}", "no value"],
    ["//#if a", "no #end"],
    ["//#end", "without a start"],
    ["//#nope", "unknown directive"],
    ["//#each n\n//#end", "not a list"],
  ])("a mistake in a template is told: %s", (template, message) => {
    expect(() => renderProgram(template, { a: true, n: 1 })).toThrow(message);
  });

  test("no user text can end a string literal", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        try {
          const rendered = renderProgram("x == ${v}", { v: literal(text, "--comm") });
          expect(rendered).toMatch(/^x == "[\x20\x21\x23-\x5b\x5d-\x7e]*"$/);
        } catch (error) {
          expect(error).toBeInstanceOf(TraceError);
        }
      }),
    );
  });

  test("identifiers are words, nothing else", () => {
    expect(identifier("kprobe:oom_kill_process").identifier).toBe("kprobe:oom_kill_process");
    for (const text of ["a b", "a;b", "", 'a"b', "1a", "a{"])
      expect(() => identifier(text)).toThrow(RangeError);
  });

  test("numbers that JavaScript has rounded are refused", () => {
    expect(() => renderProgram("${n}", { n: 2 ** 60 })).toThrow("safe integer");
  });
});
