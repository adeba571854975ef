import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FILTERS } from "../../src/probe/filters.ts";
import { listProbes, loadProbe, readProgram } from "../../src/probe/registry.ts";
import { runTrace } from "../support/capture.ts";
import { expectGolden } from "../support/golden.ts";
import { createRecordCheck } from "../support/schema.ts";

const probes = await listProbes();
const template = { name: "_template", path: join(import.meta.dirname, "..", "..", "probes", "_template") };

interface Record {
  readonly type: string;
  readonly time: string;
  readonly [field: string]: unknown;
}

/** What every probe folder has to keep, so that the command, its help, its docs and its replay follow from the folder. */
describe.each([...probes, template])("probe $name", (folder) => {
  test("declares itself", async () => {
    const definition = await loadProbe(folder);
    expect(definition.summary).toMatch(/^.{10,80}$/);
    expect(definition.description.length).toBeGreaterThan(40);
    expect(definition.attach.length).toBeGreaterThan(0);
    for (const name of definition.filters) expect(FILTERS[name]).toBeDefined();
  });

  test("has a readable program with a prose header, and an example", async () => {
    const program = await readProgram(folder, await loadProbe(folder));
    expect(program).toMatch(/^\/\*\n \* [\s\S]{60,}?\*\//);
    // Lower case begin/end abort 0.17, `args.field` needs 0.19, includes break BTF: docs/compatibility.md.
    expect(program).not.toMatch(/^\s*(begin|end)\s*\{|args\.\w|^\s*#include|config\s*=/m);
    expect(existsSync(join(folder.path, "example.txt"))).toBe(true);
  });

  test("its options are in its help", async () => {
    if (folder.name.startsWith("_")) return;
    const definition = await loadProbe(folder);
    const { stdout, code } = await runTrace(folder.name, "--help");
    expect(code).toBe(0);
    for (const name of definition.filters) expect(stdout).toContain(FILTERS[name].flags);
    for (const own of definition.options ?? []) expect(stdout).toContain(own.flags);
  });
});

const recordings: { probe: string; path: string }[] = [];
for (const probe of probes) {
  const folder = join(probe.path, "fixtures");
  if (!existsSync(folder)) continue;
  for (const file of await readdir(folder))
    if (file.endsWith(".trace.gz")) recordings.push({ probe: probe.name, path: join(folder, file) });
}

describe.each(recordings)("recording $path", ({ probe, path }) => {
  test("gives the golden report", async () => {
    const { stdout, code } = await runTrace("replay", path, "--no-profile");
    expect(code).toBe(0);
    await expectGolden(path.replace(/\.trace\.gz$/, ".report.txt"), stdout);
    for (const line of stdout.split("\n")) {
      // Commands are never cut, whatever the width.
      if (!/^\s+(see|fix|try)?\s/.test(line)) expect(line.length).toBeLessThanOrEqual(100);
    }
  });

  test("gives records that fit the schema, session first and summary last", async () => {
    const folder = await mkdtemp(join(tmpdir(), "trace-contract-"));
    try {
      const { stdout } = await runTrace("replay", path, "--format", "json", "-o", join(folder, "p.json"));
      const records = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Record);
      const check = await createRecordCheck(probe);
      for (const record of records) expect(check(record)).toEqual([]);
      expect(records[0]?.type).toBe("session");
      expect(records.at(-1)?.type).toBe("summary");
      expect(records.filter((record) => record.type === "ready")).toHaveLength(1);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("gives a profile that adds up", async () => {
    const folder = await mkdtemp(join(tmpdir(), "trace-contract-"));
    try {
      const file = join(folder, "p.json");
      const { stdout } = await runTrace("replay", path, "--format", "json", "-o", file);
      const summary = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { profile: string | null };
      if (summary.profile === null) return;
      const document = JSON.parse(await readFile(file, "utf8")) as {
        shared: { frames: unknown[] };
        profiles: { samples: number[][]; weights: number[]; endValue: number; startValue: number }[];
      };
      expect(document.profiles.length).toBeGreaterThan(0);
      for (const { samples, weights, startValue, endValue } of document.profiles) {
        expect(samples.length).toBe(weights.length);
        expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(endValue - startValue, 6);
        for (const index of samples.flat()) expect(index).toBeLessThan(document.shared.frames.length);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

test("there is something to replay", () => {
  expect(recordings.length).toBeGreaterThan(0);
});
