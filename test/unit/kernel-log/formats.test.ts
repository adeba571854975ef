import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createLineDecoder } from "../../../src/evidence/kernel-log/decode.ts";
import { type KernelLine, type KernelLogCounts, zeroCounts } from "../../../src/evidence/kernel-log/line.ts";
import { createLineSplitter } from "../../../src/evidence/kernel-log/split.ts";

const FIXTURES = fileURLToPath(new URL("../../../fixtures/oom/", import.meta.url));

function read(name: string): { lines: KernelLine[]; counts: KernelLogCounts } {
  const counts = zeroCounts();
  const lines: KernelLine[] = [];
  const decoder = createLineDecoder(
    { reference: new Date("2026-12-01T00:00:00Z"), utcOffsetMinutes: 0 },
    counts,
  );
  const splitter = createLineSplitter();
  const onLine = (line: string): void => decoder.push(line, lines);
  splitter.push(readFileSync(`${FIXTURES}${name}`), onLine);
  splitter.end(onLine);
  decoder.end(lines);
  return { lines, counts };
}

function texts(name: string): string[] {
  return read(name).lines.map((line) => line.text);
}

const DMESG = texts("recorded/6.18-v1-memcg.txt");
const [NEWLINE, ESCAPE] = [
  texts("recorded/6.18-v1-names.kmsg.txt").slice(0, 79),
  texts("recorded/6.18-v1-names.kmsg.txt").slice(79),
];
const HOST = texts("recorded/5.10-host-many.kmsg.txt").slice(0, 78);

describe("one log in every format of dmesg", () => {
  it.each(readdirSync(`${FIXTURES}formats`).filter((name) => name.startsWith("dmesg-")))("%s", (name) => {
    const found = texts(`formats/${name}`);
    // -J was cut from the middle of a log: more came before.
    expect(found.slice(-DMESG.length)).toEqual(DMESG);
    expect(read(`formats/${name}`).counts).toMatchObject({ foreign: 0, malformed: 0 });
  });

  it.each([
    ["dmesg-x.txt", { kind: "monotonic", seconds: 1528.203457 }, 4],
    ["dmesg-r.txt", { kind: "monotonic", seconds: 1528.203457 }, 4],
    ["dmesg-color.txt", { kind: "monotonic", seconds: 1528.203457 }, 4],
    ["dmesg-delta.txt", { kind: "monotonic", seconds: 1528.203457 }, undefined],
    ["dmesg-T.txt", { kind: "wall", iso: "2026-11-22T22:06:14.000000Z", zoned: false }, undefined],
    ["dmesg-iso.txt", { kind: "wall", iso: "2026-11-22T22:06:14.203457Z", zoned: true }, undefined],
    ["dmesg-rel.txt", { kind: "wall", iso: "2026-11-22T22:06:00.000000Z", zoned: false }, undefined],
  ])("%s tells its time and level", (name, time, level) => {
    const [first] = read(`formats/${name}`).lines;
    expect([first?.time, first?.level, first?.host]).toEqual([time, level, null]);
  });

  it("adds up the steps of --time-format reltime", () => {
    // The same log: 271 µs from the first line to the last.
    expect(read("formats/dmesg-rel.txt").lines.at(-1)?.time).toEqual({
      kind: "wall",
      iso: "2026-11-22T22:06:00.000270Z",
      zoned: false,
    });
  });
});

describe("journals, read back with every output of journalctl", () => {
  it.each(readdirSync(`${FIXTURES}formats`).filter((name) => name.startsWith("journal-newline")))(
    "%s: a newline in a name",
    (name) => {
      const { lines, counts } = read(`formats/${name}`);
      expect(lines.map((line) => line.text)).toEqual(NEWLINE);
      // The message of sshd that quotes a kill.
      expect([counts.foreign, counts.malformed]).toEqual([1, 0]);
      expect(new Set(lines.map((line) => line.host))).toEqual(new Set(["web-7"]));
    },
  );

  it.each(["journal-escape-json.txt", "journal-escape-json-pretty.txt"])(
    "%s: bytes that are no text",
    (name) => {
      const { lines, counts } = read(`formats/${name}`);
      expect(lines.map((line) => line.text)).toEqual(ESCAPE);
      expect([counts.foreign, counts.malformed]).toEqual([1, 0]);
      expect(lines[0]).toMatchObject({
        time: { kind: "wall", iso: "2025-11-22T21:40:47.284558Z", zoned: true },
        monotonic: 1528.407406,
        level: 4,
      });
    },
  );

  it("counts what journalctl hides as blob data", () => {
    const { counts, lines } = read("formats/journal-escape-short.txt");
    expect(counts.blobs).toBe(5);
    expect(lines).toHaveLength(ESCAPE.length);
  });

  it.each([
    ["short-iso", { kind: "wall", iso: "2025-11-22T21:40:47.000000Z", zoned: true }],
    ["short-iso-precise", { kind: "wall", iso: "2025-11-22T21:40:47.284558Z", zoned: true }],
    ["short-full", { kind: "wall", iso: "2025-11-22T21:40:47.000000Z", zoned: true }],
    ["short-unix", { kind: "wall", iso: "2025-11-22T21:40:47.284558Z", zoned: true }],
    ["short-monotonic", { kind: "monotonic", seconds: 63.386841 }],
  ])("-o %s: records of several lines, and the time", (mode, time) => {
    const { lines, counts } = read(`formats/journal-host-${mode}.txt`);
    expect(lines.map((line) => line.text)).toEqual(HOST);
    expect(lines[0]?.time).toEqual(time);
    expect(counts.foreign).toBe(1);
  });
});

describe("/dev/kmsg and the console", () => {
  it("undoes the escapes of /dev/kmsg", () => {
    expect(NEWLINE[0]).toBe(
      'a\nb "c" [d],e invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0',
    );
    expect(ESCAPE[0]).toBe(
      "\u001b[31mr\\x \ufffd) invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    );
  });

  it("gives the same from dmesg, but for a name that a console splits", () => {
    expect(texts("recorded/6.18-v1-names.txt")).toEqual([...NEWLINE, ...ESCAPE]);
    expect(texts("recorded/6.18-v1-names.console.txt").filter((text) => text.startsWith("memory"))).toEqual(
      [...NEWLINE, ...ESCAPE].filter((text) => text.startsWith("memory")),
    );
  });

  it("joins the lines that dmesg indents to one record", () => {
    const stats = texts("dmesg/5.10-memcg.txt").find((text) => text.startsWith("anon "));
    expect(stats?.split("\n")).toHaveLength(36);
    expect(stats?.split("\n")[1]).toBe("file 0");
  });
});
