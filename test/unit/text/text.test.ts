import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeText, quoteShell } from "../../../src/text/escape.ts";
import { formatBytes, formatRate, formatSeconds, sparkline } from "../../../src/text/format.ts";
import { nearest } from "../../../src/text/nearest.ts";

describe("hostile text", () => {
  test("nothing that moves a terminal survives", () => {
    expect(escapeText("a\nb\u001b[31m\u009b2J\u202ecba\u0000")).toBe("a\\nb\\x1b[31m\\x9b2J\\u202ecba\\x00");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        // oxlint-disable-next-line no-control-regex -- the point of the test
        expect(escapeText(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
      }),
    );
  });
  test("a word for the shell is one word", () => {
    expect(quoteShell("eth0")).toBe("eth0");
    expect(quoteShell("a b'c; rm -rf /")).toBe(`'a b'\\''c; rm -rf /'`);
    expect(quoteShell("")).toBe("''");
  });
});

describe("numbers for people", () => {
  test("bytes, rates, seconds", () => {
    expect([0, 1023, 1536, 1 << 20, 2.5 * 2 ** 30].map(formatBytes)).toEqual([
      "0 B",
      "1023 B",
      "1.5 KiB",
      "1.0 MiB",
      "2.5 GiB",
    ]);
    expect([0, 0.25, 3.14, 61.4, 1234.5].map(formatRate)).toEqual(["0", "0.25", "3.1", "61", "1,235"]);
    expect([0.25, 30, 90, 3725].map(formatSeconds)).toEqual(["0.3 s", "30.0 s", "1m30s", "1h2m5s"]);
  });
  test("a sparkline is as wide as asked and zero is its lowest bar", () => {
    expect(sparkline([0, 1, 4, 8], 10)).toBe("▁▁▄█");
    expect(sparkline([5, 5, 5], 2)).toBe("██");
    expect(sparkline([0, 0], 5)).toBe("▁▁");
  });
});

test("nearest finds what was meant", () => {
  expect(nearest("NETFILTR_DROP", ["NO_SOCKET", "NETFILTER_DROP"])[0]).toBe("NETFILTER_DROP");
  expect(nearest("zzzzzz", ["NO_SOCKET"])).toEqual([]);
});
