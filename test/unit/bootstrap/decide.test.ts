import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  runsSources,
  mayInstall,
  namesBpftrace,
  needsKernel,
  whyStale,
} from "../../../src/bootstrap/decide.mjs";

const PROBES = ["drops", "oom", "mine"];
const HOST = { dev: false, os: "linux", cpu: "x64" };

describe("needsKernel", () => {
  it.each([
    ["drops"],
    ["drops --duration 30s"],
    ["mine"],
    ["run my.bt"],
    ["-v drops"],
    ["--color never drops"],
    ["--color=never oom"],
    ["drops --comm list"],
  ])("starts bpftrace: %s", (line) => {
    expect(needsKernel(line.split(" "), PROBES)).toBe(true);
  });

  it.each([
    [""],
    ["list"],
    ["doctor --fix"],
    ["script drops"],
    ["explain drops"],
    ["replay drops"],
    ["help drops"],
    ["drops --help"],
    ["-h"],
    ["--version"],
    ["drops --replay x.rec"],
    ["drops --replay=x.rec"],
    ["oom --log -"],
    ["oom --log=dmesg"],
    ["dorps"],
    ["dorps drops"],
    ["_template"],
  ])("does not: %s", (line) => {
    expect(needsKernel(line.split(" ").filter(Boolean), PROBES)).toBe(false);
  });

  it("never throws, and asks for nothing without a tracing command among the words", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        const others = words.filter((word) => word !== "run" && !PROBES.includes(word));
        expect(needsKernel(others, PROBES)).toBe(false);
      }),
    );
  });
});

it("leaves the choice of bpftrace to the user who names one", () => {
  expect(namesBpftrace(["drops"], {})).toBe(false);
  expect(namesBpftrace(["drops", "--bpftrace", "/opt/bpftrace"], {})).toBe(true);
  expect(namesBpftrace(["drops", "--bpftrace=/opt/bpftrace"], {})).toBe(true);
  expect(namesBpftrace(["drops"], { TRACE_BPFTRACE: "/opt/bpftrace" })).toBe(true);
});

it("installs unless TRACE_NO_INSTALL is set", () => {
  expect([undefined, "", "0", "1", "yes"].map((value) => mayInstall({ TRACE_NO_INSTALL: value }))).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});

it.each([
  ["12.22.9", undefined, false],
  ["20.20.2", undefined, false],
  ["22.18.0", "strip", false],
  ["24.0.0", "strip", true],
  ["24.0.0", false, false],
  ["26.1.0", "strip", true],
])("Node %s with %s runs the sources: %s", (version, typescript, expected) => {
  expect(runsSources(version, typescript)).toBe(expected);
});

describe("whyStale", () => {
  const one = { version: "1.0.0", integrity: "sha512-a" };

  it("accepts what the lockfile asks for, and more", () => {
    expect(
      whyStale({ "": {}, "node_modules/a": one }, { "node_modules/a": one, "node_modules/x": one }, HOST),
    ).toBeNull();
  });

  it.each([
    ["nothing is installed", { "node_modules/a": one }, null],
    ["a package is missing", { "node_modules/a": one }, {}],
    ["a version differs", { "node_modules/a": one }, { "node_modules/a": { ...one, version: "1.0.1" } }],
    ["a content differs", { "node_modules/a": one }, { "node_modules/a": { ...one, integrity: "sha512-b" } }],
  ])("tells when %s", (_, wanted, installed) => {
    expect(whyStale(wanted, installed, HOST)).toEqual(expect.any(String));
  });

  it.each([
    ["CPU", { cpu: "x64" }, { cpu: ["arm64"] }],
    ["system", { os: "linux" }, { os: ["!linux"] }],
  ])("tells that it was installed on another machine, by its %s", (_, ours, theirs) => {
    const wanted = { a: { ...one, ...ours, optional: true }, b: { ...one, ...theirs, optional: true } };
    expect(whyStale(wanted, { b: wanted.b }, HOST)).toBe("node_modules is from another machine");
    expect(whyStale(wanted, { a: wanted.a }, HOST)).toBeNull();
    expect(whyStale(wanted, wanted, HOST)).toBeNull();
  });

  it("does without optional packages, and without development ones unless they are needed", () => {
    const wanted = { "node_modules/a": { ...one, optional: true }, "node_modules/b": { ...one, dev: true } };
    expect(whyStale(wanted, {}, HOST)).toBeNull();
    expect(whyStale(wanted, {}, { ...HOST, dev: true })).toBe("node_modules/b is missing");
  });

  it("never throws on a damaged list", () => {
    const entry = fc.record(
      { version: fc.string(), os: fc.oneof(fc.string(), fc.array(fc.string())) },
      { requiredKeys: [] },
    );
    const list = fc.dictionary(fc.string(), entry);
    fc.assert(
      fc.property(list, list, (wanted, installed) => {
        const why = whyStale(wanted, installed, HOST);
        expect(why === null || why.length > 0).toBe(true);
      }),
    );
  });
});
