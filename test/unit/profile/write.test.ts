import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv } from "ajv";
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { UNITS, type Profile, type Unit } from "../../../src/profile/model.ts";
import { encodePprof } from "../../../src/profile/write/pprof.ts";
import { printProfiles } from "../../../src/profile/write/output.ts";
import type { OutputFormat } from "../../../src/profile/write/formats.ts";
import { collectProfiles, type ProfileData, type ProfileStore } from "../../../src/profile/store/store.ts";
import { writeSpeedscope } from "../../../src/profile/write.ts";
import { gunzipSync } from "node:zlib";
import { listStacks, readBytes } from "./helpers.ts";

const folder = mkdtempSync(join(tmpdir(), "trace-write-"));
afterAll(() => rmSync(folder, { recursive: true }));

const schema: unknown = createRequire(import.meta.url)("speedscope/dist/release/file-format-schema.json");
if (typeof schema !== "object" || schema === null) throw new Error("no schema");
const validate = new Ajv({ strict: false }).compile(schema);

const frame = fc.record(
  {
    name: fc.string({ unit: "binary", maxLength: 8 }),
    file: fc.constantFrom("[kernel]", "/usr/lib/libc.so.6"),
    line: fc.nat(99),
  },
  { requiredKeys: ["name"] },
);
const profile: fc.Arbitrary<Profile> = fc.record({
  name: fc.string(),
  unit: fc.constantFrom(...UNITS),
  order: fc.constantFrom("time" as const, "none" as const),
  samples: fc.array(fc.record({ stack: fc.array(frame, { maxLength: 4 }), weight: fc.nat(1e9) }), {
    maxLength: 8,
  }),
});

interface File {
  profiles: {
    name: string;
    unit: string;
    samples: number[][];
    weights: number[];
    startValue: number;
    endValue: number;
  }[];
  shared: { frames: { name: string; file?: string; line?: number }[] };
}

describe("writeSpeedscope", () => {
  it("writes what the schema and speedscope's importer ask for", async () => {
    const path = join(folder, "property.json");
    await fc.assert(
      fc.asyncProperty(
        fc.array(profile, { minLength: 1, maxLength: 3 }),
        fc.constantFrom(0, 3, 100),
        async (profiles, nodeBudget) => {
          const written = await writeSpeedscope(path, { name: "x", profiles, nodeBudget });
          const text = readFileSync(path, "utf8");
          const file: File = JSON.parse(text);
          validate(file);
          expect(validate.errors).toBeNull();
          expect(written.bytes).toBe(Buffer.byteLength(text));
          expect(text.indexOf('"profiles"')).toBeLessThan(text.indexOf('"shared"'));
          for (const [index, { samples, weights, endValue, unit }] of file.profiles.entries()) {
            expect(samples).toHaveLength(weights.length);
            expect(
              samples
                .flat()
                .every((number) => Number.isInteger(number) && number < file.shared.frames.length),
            ).toBe(true);
            const total = [...(profiles[index]?.samples ?? [])].reduce((sum, { weight }) => sum + weight, 0);
            expect(weights.reduce((sum, weight) => sum + weight, 0)).toBe(total);
            expect(endValue).toBe(total);
            expect(written.profiles[index]).toEqual({
              name: profiles[index]?.name,
              total,
              samples: [...(profiles[index]?.samples ?? [])].length,
            });
            expect(unit).toBe(profiles[index]?.unit);
          }
          const keys = file.shared.frames.map(({ name, file: module, line }) =>
            JSON.stringify([name, module, line]),
          );
          expect(new Set(keys).size).toBe(keys.length);
        },
      ),
    );
    expect(readdirSync(folder)).toEqual(["property.json"]);
  });

  it("refuses an impossible weight and leaves nothing behind", async () => {
    const path = join(folder, "bad.json");
    for (const weight of [-1, NaN, Infinity]) {
      const samples = [{ stack: [], weight }];
      await expect(
        writeSpeedscope(path, { name: "x", profiles: [{ name: "p", unit: "none", samples }] }),
      ).rejects.toThrow(RangeError);
    }
    expect(readdirSync(folder)).toEqual(["property.json"]);
  });

  it("keeps numbers beyond 32 bits and fractions", async () => {
    const path = join(folder, "large.json");
    const samples = [4_294_967_296, 9_007_199_254_740_000, 0.25, 1e-7].map((weight, index) => ({
      stack: [{ name: `f${index}` }],
      weight,
    }));
    await writeSpeedscope(path, { name: "x", profiles: [{ name: "p", unit: "seconds", samples }] });
    const file: File = JSON.parse(readFileSync(path, "utf8"));
    expect(file.profiles[0]?.weights).toEqual(samples.map(({ weight }) => weight));
    rmSync(path);
  });
});

async function print(store: ProfileStore, format: OutputFormat): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const [selected] = store.profiles;
  if (selected === undefined) throw new Error("no profile");
  await printProfiles(store, { format, selected }, (chunk) => void chunks.push(Buffer.from(chunk)));
  return Buffer.concat(chunks);
}

/** A profile of one sample, to pprof and back. */
async function throughPprof(unit: Unit, weight: number): Promise<ProfileData | undefined> {
  const store = collectProfiles("test", [{ name: "p", unit, samples: [{ stack: [{ name: "a" }], weight }] }]);
  const [data] = store.profiles;
  if (data === undefined) throw new Error("no profile");
  return (await readBytes(gunzipSync(await encodePprof(store, data)))).store.profiles[0];
}

describe("round trips", () => {
  const plain = fc.stringMatching(/^[^;\s\p{C}]{1,6}$/u).filter((name) => !name.endsWith("_[k]"));
  const plainFrame = fc.record({ name: plain, file: fc.constant("[kernel]") }, { requiredKeys: ["name"] });
  const samples = fc.array(
    fc.record({
      stack: fc.array(plainFrame, { minLength: 1, maxLength: 4 }),
      weight: fc.integer({ min: 1, max: 1e9 }),
    }),
    { minLength: 1, maxLength: 8 },
  );

  it.each(["speedscope", "folded", "pprof"] as const)(
    "%s gives the same weights per stack",
    async (format) => {
      await fc.assert(
        fc.asyncProperty(samples, async (list) => {
          const store = collectProfiles("test", [{ name: "p", unit: "none", order: "none", samples: list }]);
          const bytes = await print(store, format);
          const again = await readBytes(format === "pprof" ? gunzipSync(bytes) : bytes);
          expect(again.report).toMatchObject({ format, damaged: 0 });
          expect(listStacks(again.store, again.store.profiles[0])).toEqual(
            listStacks(store, store.profiles[0]),
          );
        }),
        { numRuns: 60 },
      );
    },
  );

  it("pprof keeps units, and writes times with fractions in nanoseconds", async () => {
    expect(await throughPprof("bytes", 2 ** 40)).toMatchObject({ unit: "bytes", total: 2 ** 40 });
    expect(await throughPprof("seconds", 1.25)).toMatchObject({ unit: "nanoseconds", total: 1.25e9 });
  });

  it("folded stacks stay one line each, whatever is in a name", async () => {
    const stack = [{ name: "a;b\nc 9\u2028d" }, { name: "" }, { name: "\u0000\u001b[31mred" }];
    const store = collectProfiles("test", [{ name: "p", unit: "none", samples: [{ stack, weight: 2 }] }]);
    expect((await print(store, "folded")).toString()).toBe("a:b c 9 d;[no name]; [31mred 2\n");
  });
});
