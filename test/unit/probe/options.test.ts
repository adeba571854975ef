import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EXIT, TraceError } from "../../../src/error.ts";
import { parseDuration } from "../../../src/probe/duration.ts";
import { FILTERS, parseAddressBlock } from "../../../src/probe/filters.ts";

const usageError = (run: () => unknown): TraceError => {
  try {
    run();
  } catch (error) {
    if (error instanceof TraceError && error.code === EXIT.usage) return error;
    throw error;
  }
  throw new Error("it was accepted");
};

describe("durations", () => {
  test.each([
    ["500ms", 0.5],
    ["30s", 30],
    ["5m", 300],
    ["1h", 3600],
    ["1m30s", 90],
    ["1.5s", 1.5],
    ["2d", 172_800],
  ])("%s", (text, seconds) => {
    expect(parseDuration(text, "-d")).toBeCloseTo(seconds, 9);
  });
  test.each(["", "5", "s", "-3s", "0s", "1y", "3s foo", "1e9s", "25d", "NaNs", "١s"])(
    "%j is refused",
    (text) => {
      expect(usageError(() => parseDuration(text, "--duration")).hint).toContain("--duration 30s");
    },
  );
});

describe("addresses", () => {
  test("a block keeps only its network part", () => {
    expect(parseAddressBlock("10.1.2.3/8")).toEqual({
      family: 4,
      bytes: [10, 0, 0, 0],
      prefix: 8,
      text: "10.0.0.0/8",
    });
    expect(parseAddressBlock("10.1.2.3/31").bytes).toEqual([10, 1, 2, 2]);
    expect(parseAddressBlock("2001:db8:ffff::1/33")).toMatchObject({
      family: 6,
      prefix: 33,
      text: "2001:db8:8000::/33",
    });
    expect(parseAddressBlock("0.0.0.0/0").bytes).toEqual([0, 0, 0, 0]);
  });
  test("mapped addresses are IPv4", () => {
    expect(parseAddressBlock("::ffff:10.0.0.1")).toMatchObject({ family: 4, prefix: 32, text: "10.0.0.1" });
  });
  test.each([
    "10.0.0.300",
    "10.0.0",
    "1",
    "0x7f.1",
    "10.0.0.1/33",
    "10.0.0.1/-1",
    "10.0.0.1/8/8",
    "fe80::1%eth0",
    "::/129",
    "nginx",
    "",
    "10.0.0.1/ 8",
  ])("%j is refused", (text) => {
    usageError(() => parseAddressBlock(text));
  });
  test("any text is a block or a usage error", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const block = parseAddressBlock(text);
          expect(block.bytes).toHaveLength(block.family === 4 ? 4 : 16);
        } catch (error) {
          expect(error).toBeInstanceOf(TraceError);
        }
      }),
    );
  });
});

describe("filters", () => {
  test.each([
    ["port", "0"],
    ["port", "65536"],
    ["port", "http"],
    ["port", "80 "],
    ["pid", "-1"],
    ["pid", "1e3"],
    ["dev", "a/b"],
    ["dev", ""],
    ["dev", "0123456789abcdef"],
    ["dev", "eth 0"],
    ["comm", "0123456789abcdef"],
    ["proto", "tcpp"],
    ["proto", "256"],
    ["reason", "NO SUCH"],
    ["reason", ""],
    ["netns", ""],
    ["netns", "../x"],
    ["cgroup", "/a/../b"],
  ] as const)("--%s %j is refused", (name, text) => {
    usageError(() => FILTERS[name].parse(text, undefined));
  });
  test("reasons may be a list, repeated, and carry the kernel's prefix", () => {
    const first = FILTERS.reason.parse("netfilter_drop,NO_SOCKET", undefined);
    expect(FILTERS.reason.parse("SKB_DROP_REASON_QDISC_DROP", first)).toEqual([
      "NETFILTER_DROP",
      "NO_SOCKET",
      "QDISC_DROP",
    ]);
  });
  test("protocols by name or number", () => {
    expect(FILTERS.proto.parse("TCP", undefined)).toEqual({ name: "tcp", number: 6 });
    expect(FILTERS.proto.parse("58", undefined)).toEqual({ name: "icmpv6", number: 58 });
    expect(FILTERS.proto.parse("253", undefined)).toEqual({ name: "253", number: 253 });
  });
});
