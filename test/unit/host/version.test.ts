import { expect, test } from "vitest";
import { isAtLeast, parseVersion } from "../../../src/host/version.ts";

test.each([
  ["6.18.44-fc-v782", [6, 18, 44]],
  ["3.10.0-1160.el7.x86_64", [3, 10, 0]],
  ["6.12-rc3", [6, 12, null]],
  ["bpftrace v0.26.1-12-gabcdef", [0, 26, 1]],
  ["v24.21.0", [24, 21, 0]],
])("%s", (text, [major, minor, patch]) => {
  expect(parseVersion(text)).toEqual({ major, minor, patch });
});

test("no version", () => {
  expect(parseVersion("bpftrace unknown")).toBeNull();
  expect(parseVersion("6")).toBeNull();
});

test("comparison is by number, and unknown is not at least anything", () => {
  expect(isAtLeast(parseVersion("0.9.4"), 0, 11)).toBe(false);
  expect(isAtLeast(parseVersion("0.11.3"), 0, 11)).toBe(true);
  expect(isAtLeast(parseVersion("1.0"), 0, 27)).toBe(true);
  expect(isAtLeast(null, 0, 0)).toBe(false);
});
