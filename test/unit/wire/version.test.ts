import { expect, test } from "vitest";
import { atLeast, formatBpftraceVersion, parseBpftraceVersion } from "../../../src/wire/version.ts";

test.each([
  ["bpftrace v0.17.0\n", "0.17.0"],
  ["0.23.2", "0.23.2"],
  ["bpftrace v0.24-rc0", "0.24.0"],
  ["bpftrace v0.20.1-42-gabcdef", "0.20.1"],
  ["bpftrace 0.27-dev", "0.27.0"],
  ["bpftrace v1.0.3", "1.0.3"],
])("reads %j", (text, version) => {
  const read = parseBpftraceVersion(text);
  expect(read === null ? null : formatBpftraceVersion(read)).toBe(version);
});

test.each(["", "bpftrace", "bpftrace v17", "bpftrace vX.Y"])("%j has no version", (text) => {
  expect(parseBpftraceVersion(text)).toBeNull();
});

test("compares part by part; an unknown version is at least nothing", () => {
  const version = { major: 0, minor: 22, patch: 1 };
  expect([atLeast(version, 0, 9), atLeast(version, 0, 22), atLeast(version, 0, 22, 1)]).toEqual([
    true,
    true,
    true,
  ]);
  expect([atLeast(version, 0, 22, 2), atLeast(version, 0, 23), atLeast(version, 1, 0)]).toEqual([
    false,
    false,
    false,
  ]);
  expect(atLeast({ major: 1, minor: 0, patch: 0 }, 0, 27)).toBe(true);
  expect(atLeast(null, 0, 0)).toBe(false);
});
