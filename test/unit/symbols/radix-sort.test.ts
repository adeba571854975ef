import * as fc from "fast-check";
import { expect, it } from "vitest";
import { layOut } from "../../../src/symbols/pieces.ts";
import { findLast, sortAddresses } from "../../../src/symbols/radix-sort.ts";

const address = fc.oneof(
  fc.nat({ max: 50 }),
  fc.maxSafeNat(),
  fc.nat({ max: 0xffff }).map((low) => 0x7fff00000000 + low),
);

it("sorts any addresses, keeping equal ones in order", () => {
  fc.assert(
    fc.property(fc.array(address), (addresses) => {
      const order = [...sortAddresses(Float64Array.from(addresses))];
      expect(order).toEqual([...addresses.keys()].toSorted((a, b) => addresses[a]! - addresses[b]! || a - b));
    }),
  );
});

it("finds the last address that is not above", () => {
  fc.assert(
    fc.property(fc.array(address), address, (addresses, wanted) => {
      const sorted = addresses.toSorted((a, b) => a - b);
      expect(findLast(Float64Array.from(sorted), wanted)).toBe(
        sorted.findLastIndex((value) => value <= wanted),
      );
    }),
  );
});

it("gives every address to the last range that covers it", () => {
  const range = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 30 }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), (ranges) => {
      const starts = Float64Array.from(ranges, ([start]) => start);
      const pieces = layOut(
        starts,
        Uint32Array.from(ranges, ([, size]) => size),
      );
      for (let at = 0; at < 95; at++) {
        const wanted = ranges.findLastIndex(([start, size]) => at >= start && at < start + size);
        const piece = findLast(pieces.starts, at);
        const found = piece !== -1 && at < pieces.ends[piece]! ? pieces.entries[piece]! : -1;
        expect(found).toBe(wanted);
      }
      expect(pieces.starts.length).toBeLessThanOrEqual(2 * ranges.length);
    }),
    { numRuns: 500 },
  );
});
