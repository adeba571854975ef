import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type KernelLine, MAX_LINE, zeroCounts } from "../../../src/evidence/kernel-log/line.ts";
import {
  readKernelLog,
  readKernelLogStream,
  type ReadLogOptions,
} from "../../../src/evidence/kernel-log/read.ts";
import { createLineSplitter } from "../../../src/evidence/kernel-log/split.ts";

const LOG = readFileSync(
  fileURLToPath(new URL("../../../fixtures/oom/dmesg/7.2-global.txt", import.meta.url)),
);
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "kernel-log-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function collect(batches: AsyncIterable<KernelLine[]>): Promise<string[]> {
  const texts: string[] = [];
  for await (const batch of batches) texts.push(...batch.map((line) => line.text));
  return texts;
}

function stream(bytes: Uint8Array, size = bytes.length): Readable {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return Readable.from(chunks);
}

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe("a log from a file or a pipe", () => {
  it("reads the same plain, packed and from standard input", async () => {
    const plain = await collect(readKernelLog(file("plain.log", LOG)));
    expect(plain).toHaveLength(246);
    for (const bytes of [
      gzipSync(LOG),
      zstdCompressSync(LOG),
      Buffer.concat([gzipSync(LOG.subarray(0, 999)), gzipSync(LOG.subarray(999))]),
    ]) {
      expect(await collect(readKernelLog(file("packed", bytes)))).toEqual(plain);
      expect(await collect(readKernelLog("-", { stdin: stream(bytes, 777) }))).toEqual(plain);
    }
  });

  it("reads the same in chunks of any size", async () => {
    const whole = await collect(readKernelLogStream("dmesg", stream(LOG)));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5000 }), async (size) => {
        expect(await collect(readKernelLogStream("dmesg", stream(LOG, size)))).toEqual(whole);
      }),
      { numRuns: 20 },
    );
  });

  it("gives what a cut gzip file holds, and says that it is cut", async () => {
    const packed = gzipSync(LOG, { level: 1 });
    const whys: string[] = [];
    const options: ReadLogOptions = { onCut: (why) => whys.push(why) };
    const texts = await collect(
      readKernelLog(file("cut.gz", packed.subarray(0, packed.length / 2)), options),
    );
    expect(texts.length).toBeGreaterThan(20);
    expect(whys).toEqual(["unexpected end of file"]);
  });

  it("an empty log has no lines", async () => {
    expect(await collect(readKernelLog(file("empty", Buffer.alloc(0))))).toEqual([]);
    expect(await collect(readKernelLog("-", { stdin: stream(Buffer.alloc(0), 1) }))).toEqual([]);
  });

  it.each([
    ["a.xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4], "it is xz, unpack it first", "xz -dc"],
    [
      "a b.bz2",
      [0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26],
      "it is bzip2, unpack it first",
      "bzip2 -dc",
    ],
    [
      "system.journal",
      [...Buffer.from("LPKSHHRH")],
      "it is a binary journal, unpack it first",
      "journalctl -k -o json --file",
    ],
  ])("%s: says how to unpack it", async (name, bytes, why, tool) => {
    const path = file(name, Buffer.from(bytes));
    await expect(collect(readKernelLog(path))).rejects.toMatchObject({
      code: 2,
      why,
      hint: expect.stringContaining(`${tool} ${path.includes(" ") ? `'${path}'` : path} | trace oom --log -`),
    });
  });

  it("says why a path cannot be read", async () => {
    await expect(collect(readKernelLog(join(folder, "none")))).rejects.toMatchObject({
      code: 2,
      why: "there is no such file",
    });
    await expect(collect(readKernelLog(folder))).rejects.toMatchObject({ code: 2, why: "it is a directory" });
  });

  it("takes the missing year from the file's date", async () => {
    const path = file("syslog", Buffer.from("Jun  4 18:49:43 web kernel: a\n"));
    const year = new Date().getFullYear();
    for await (const [line] of readKernelLog(path, { utcOffsetMinutes: 0 })) {
      const iso = line?.time?.kind === "wall" ? line.time.iso : "";
      expect([year, year - 1].map((candidate) => `${String(candidate)}-06-04T18:49:43.000000Z`)).toContain(
        iso,
      );
    }
  });
});

describe("bounds", () => {
  it("keeps the head of an endless line, and the lines after it", async () => {
    const counts = zeroCounts();
    const long = Buffer.concat([
      Buffer.from("[    1.000000] "),
      Buffer.alloc(5 * MAX_LINE, "x"),
      Buffer.from("\n[    2.000000] next\n"),
    ]);
    const texts = await collect(readKernelLogStream("x", stream(long, 10_000), { counts }));
    expect(texts.map((text) => text.length)).toEqual([MAX_LINE - "[    1.000000] ".length, 4]);
    expect(counts).toMatchObject({ truncated: 1, records: 2 });
  });

  it("keeps the head of an endless record", async () => {
    const log = `[    1.000000] a\n${`               ${"b".repeat(1000)}\n`.repeat(1000)}[    2.000000] next\n`;
    const texts = await collect(readKernelLogStream("x", stream(Buffer.from(log), 4096)));
    expect(texts).toHaveLength(2);
    expect(texts[0]?.length).toBeLessThanOrEqual(MAX_LINE);
  });

  it("drops the zero bytes of a crash, the byte order mark and what is no UTF-8", async () => {
    const log = Buffer.concat([
      Buffer.from("\ufeff[    1.000000] a\n"),
      Buffer.alloc(3),
      Buffer.from("[    2.000000] b\n[    3.000000] c\xff\n", "latin1"),
    ]);
    expect(await collect(readKernelLogStream("x", stream(log)))).toEqual(["a", "b", "c\ufffd"]);
  });

  it("never throws, whatever the bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.integer({ min: 1, max: 50 }),
        async (bytes, size) => {
          // Packed files are another matter: their magic is not what is tested here.
          const texts = await collect(
            readKernelLogStream("x", stream(Buffer.concat([Buffer.from("x"), bytes]), size)),
          );
          expect(texts.every((text) => typeof text === "string")).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("splits lines wherever the chunks end", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 12 }).map((text) => text.replaceAll("\n", ""))),
        fc.integer({ min: 1, max: 9 }),
        (lines, size) => {
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
          const splitter = createLineSplitter(1000);
          const found: string[] = [];
          const keep = (line: string): void => {
            found.push(line);
          };
          for (let at = 0; at < bytes.length; at += size) splitter.push(bytes.subarray(at, at + size), keep);
          splitter.end(keep);
          expect(found.map((line) => line.replaceAll("\ufeff", ""))).toEqual(
            lines.map((line) => line.replaceAll("\ufeff", "")),
          );
        },
      ),
    );
  });
});
