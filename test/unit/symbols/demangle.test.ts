import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDemangler } from "../../../src/symbols/demangle.ts";

const demangle = createDemangler();

/** A name of `depth` templates, each with `width` times the one before it as arguments: its text has width^depth parts. */
function nestTemplates(width: number, depth: number): string {
  let name = "_Z1f1A";
  let previous = "S_";
  for (let i = 0; i < depth; i++) {
    name += `1${String.fromCharCode(66 + i)}I${previous.repeat(width)}E`;
    previous = `S${(i * 2 + 1).toString(36).toUpperCase()}_`;
  }
  return name;
}

describe("createDemangler", () => {
  it.each([
    ["_ZN4node6worker6WorkerC1EPNS_11EnvironmentE", "node::worker::Worker::Worker(node::Environment*)"],
    ["_ZNSt6vectorIiSaIiEED2Ev", "std::vector<int, std::allocator<int>>::~vector()"],
    ["_ZNKSt8functionIFvvEEclEv", "std::function<void ()>::operator()() const"],
    ["_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const"],
    ["_ZplRK1AS1_", "operator+(A const&, A const&)"],
    ["_ZN1x1fIJEEEvDpOT_", "x::f<>()"],
    ["_ZN1x1gIiJEEEvT_DpOT0_", "x::g<int>(int)"],
    ["_ZL6helperv.constprop.0", "helper() [clone .constprop.0]"],
    // Rust, legacy and v0: without the hash.
    ["_ZN4core3ptr13drop_in_place17h05af221e174051e9E", "core::ptr::drop_in_place"],
    [
      "_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE",
      "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop",
    ],
    ["_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"],
    ["_RINvNtC3std3mem8align_ofNtNtC3foo3bar3BazE", "std::mem::align_of::<foo::bar::Baz>"],
  ])("reads %s", (mangled, wanted) => {
    expect(demangle(mangled)).toBe(wanted);
  });

  it.each([
    "printf",
    "",
    "_",
    "_Z",
    "_ZN",
    "_R",
    "_RNvC",
    "_Zfoo",
    "_start",
    "_Reply",
    "_ZN3fooE\u0000",
    "?foo@@YAXXZ",
    "_D3foo",
    "_Z1fé",
  ])("leaves %j as it is", (name) => {
    expect(demangle(name)).toBe(name);
  });

  it("works on after a name that would have no end, and stops trying such names after a while", () => {
    const guarded = createDemangler();
    expect(guarded(nestTemplates(3, 4))).toContain("B<A, A, A>");
    const started = performance.now();
    for (let width = 26; width < 226; width++) expect(guarded(nestTemplates(width, 6))).toMatch(/^_Z/);
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(guarded("_ZN3foo3barEv")).toBe("foo::bar()");
  });

  it("never throws", () => {
    const piece = fc.constantFrom(
      "N",
      "E",
      "I",
      "S_",
      "S0_",
      "St",
      "T_",
      "K",
      "P",
      "F",
      "1a",
      "3foo",
      "i",
      "v",
      "L",
      "X",
      "dp",
      "J",
      "D",
      "Z",
      "Ul",
      "C",
      "B0_",
      "Nv",
      "17h",
      "$LT$",
    );
    const name = fc.tuple(
      fc.constantFrom("_Z", "_R", "_ZN", "_RNv"),
      fc.array(fc.oneof(piece, fc.string()), { maxLength: 60 }),
    );
    fc.assert(
      fc.property(name, ([start, pieces]) => {
        expect(demangle(start + pieces.join("")).length).toBeLessThanOrEqual(65_536);
      }),
      { numRuns: 2000 },
    );
    expect(demangle("_ZN3foo3barEv")).toBe("foo::bar()");
  });
});
