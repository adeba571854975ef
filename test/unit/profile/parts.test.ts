import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { generateBpftraceText } from "../../bench/generate-bpftrace-text.ts";
import { planParts } from "../../../src/profile/read/parts.ts";
import { readProfiles } from "../../../src/profile/read/read.ts";
import type { ReadReport } from "../../../src/profile/read/report.ts";
import { createStore } from "../../../src/profile/store/store.ts";
import { listStacks } from "./helpers.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-parts-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Reads a file in two parts (from 1 byte on) or in one. */
async function read(
  path: string,
  partBytes: number,
): Promise<{ profiles: Record<string, Record<string, number>>; report: ReadReport }> {
  const store = createStore("test");
  const report = await readProfiles(store, path, { partBytes });
  return {
    profiles: Object.fromEntries(store.profiles.map((data) => [data.name, listStacks(store, data)])),
    report,
  };
}

async function readBoth(path: string): Promise<Awaited<ReturnType<typeof read>>> {
  expect(await planParts(path, 1, 2)).not.toBeNull();
  const parts = await read(path, 1);
  expect(parts).toEqual(await read(path, Infinity));
  return parts;
}

describe("a large map text, read by two threads", () => {
  it("gives what one gives, to the last sample", async () => {
    const path = join(folder, "map");
    const { total } = generateBpftraceText(path, 1500);
    const { profiles, report } = await readBoth(path);
    expect(report.samples).toBe(1500);
    expect(Object.values(profiles["map"] ?? {}).reduce((one, two) => one + two, 0)).toBe(total);
  });

  it("knows a map by all its entries, and adds up what was damaged and left out", async () => {
    const path = join(folder, "maps");
    const entry = (stack: string, comm: string, count: number): string => `@a[${stack}, ${comm}]: ${count}\n`;
    const half = Array.from({ length: 300 }, (_, index) => entry("", `c${index}`, index)).join("");
    const stacks = Array.from({ length: 300 }, (_, index) => entry(`\n    f${index}+1\n`, "c", 2)).join("");
    const rest = "@b[x]: 3\n@a[\n    f+1\n, y]: -4\n@a[\n    cut+1";
    writeFileSync(path, `Lost 7 events\n    lost+1\n${half}@b[y]: 1\n${stacks}Lost 2 events\n${rest}`);
    const { profiles, report } = await readBoth(path);
    expect(Object.keys(profiles)).toEqual(["@a"]);
    expect(report).toMatchObject({ samples: 600, damaged: 3 });
    expect(Object.values(Object.fromEntries(report.missing))).toEqual([9]);
    expect(report.ignored.get("entries of maps without stacks")).toBe(2);
  });

  it("is not for one processor, small files, other formats, or entries that do not end", async () => {
    const path = join(folder, "map");
    const text = "@[\n    f+1\n]: 1\n".repeat(100);
    writeFileSync(path, text);
    expect(await planParts(path, 1, 1)).toBeNull();
    expect(await planParts(path, text.length + 1, 2)).toBeNull();
    writeFileSync(path, "a;b 1\n".repeat(100));
    expect(await planParts(path, 1, 2)).toBeNull();
    writeFileSync(path, `@[\n${"    f+1\n".repeat(100)}]: 1\n`);
    expect(await planParts(path, 1, 2)).toBeNull();
    expect(await planParts(join(folder, "none"), 1, 2)).toBeNull();
  });

  it("ends when it is told to", async () => {
    const path = join(folder, "map");
    writeFileSync(path, "@[\n    f+1\n]: 1\n".repeat(100));
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(readProfiles(createStore("test"), path, { partBytes: 1, signal })).rejects.toThrow("enough");
  });
});
