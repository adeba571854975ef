import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { describe, expect, it } from "vitest";
import { formatEnd, formatIpv4, formatIpv6, swap16 } from "../../../src/reduce/address.ts";
import { littleEndian, mappedWords, portWire } from "../../../src/reduce/filter-words.ts";
import { apportion, cleanSymbol, createStackBook, readFrames } from "../../../src/reduce/stacks.ts";
import { readWords } from "../../../src/reduce/words.ts";

const bytes = (length: number) =>
  fc.array(fc.integer({ min: 0, max: 255 }), { minLength: length, maxLength: length });

describe("addresses", () => {
  it("are the bytes in memory order, mapped ones as IPv4", () => {
    fc.assert(
      fc.property(bytes(4), (address) => {
        const text = address.join(".");
        const word = littleEndian(address);
        expect(formatIpv4(word)).toBe(text);
        expect(formatIpv6(0n, (word << 32n) | 0xffff_0000n)).toBe(text);
      }),
    );
    fc.assert(
      fc.property(bytes(16), (address) => {
        const text = formatIpv6(littleEndian(address.slice(0, 8)), littleEndian(address.slice(8)));
        expect(ipaddr.process(text).toString()).toBe(
          ipaddr.process(new ipaddr.IPv6(address).toString()).toString(),
        );
      }),
    );
  });

  it("have ports in wire order", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 65_535 }), (port) => {
        expect(swap16(portWire(port))).toBe(port);
      }),
    );
    expect(formatEnd("fd00::1", 443)).toBe("[fd00::1]:443");
    expect(formatEnd(null, null)).toBe("*:*");
  });

  it("match a block by mask and value", () => {
    const block = mappedWords({ family: 4, bytes: [10, 84, 9, 0], prefix: 24 });
    const isIn = (last: number[]) => {
      const high = (littleEndian(last) << 32n) | 0xffff_0000n;
      return (
        (0n & (block["hostMask0"] ?? 0n)) === block["hostValue0"] &&
        (high & (block["hostMask1"] ?? 0n)) === block["hostValue1"]
      );
    };
    expect([isIn([10, 84, 9, 7]), isIn([10, 84, 10, 7])]).toEqual([true, false]);
  });
});

describe("words of a key", () => {
  it("are unsigned, however they are printed", () => {
    expect(readWords("-1,0x10,18446744073709551615", 3)).toEqual([2n ** 64n - 1n, 16n, 2n ** 64n - 1n]);
    expect(readWords("1,x", 2)).toBeNull();
    expect(readWords("1", 2)).toBeNull();
  });
});

describe("stacks", () => {
  it("are names, root first", () => {
    expect(readFrames("\n        tcp_ack+2934\n        0xffffffff81234567\n        napi_poll+49\n")).toEqual([
      "napi_poll",
      "tcp_ack",
    ]);
    expect(cleanSymbol("ffffffff81234567")).toBeNull();
  });

  it("are found by their special key first", () => {
    const book = createStackBook();
    book.add(["a/1", "a"], ["x"]);
    book.add(["a/2", "a"], ["y"]);
    expect(book.find(["a/2", "a"])).toEqual([{ frames: ["y"], samples: 1 }]);
    expect(book.find(["a/3", "a"])).toHaveLength(2);
    expect(book.find(["b"])).toEqual([]);
  });

  it("share a total without losing any of it", () => {
    fc.assert(
      fc.property(fc.nat(1e6), fc.array(fc.nat(1000), { minLength: 1, maxLength: 20 }), (total, shares) => {
        expect(apportion(total, shares).reduce((a, b) => a + b, 0)).toBe(total);
      }),
    );
  });
});
