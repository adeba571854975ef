import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { collectEnums, readBtfEnums, type EnumTable } from "../../../src/host/btf.ts";

// `vmlinux` here is only the 24 bytes of the header, which is what reading a module needs of it.
const FOLDER = new URL("../../../fixtures/hosts/proc-7.2/sys/kernel/btf", import.meta.url).pathname;

/** A BTF blob with one enum; `wide` makes it an enum64. */
function makeBtf(
  members: readonly (readonly [string, number])[],
  options: { signed: boolean; wide: boolean },
): Buffer {
  const names = ["", "wanted", ...members.map(([name]) => name)];
  const strings = Buffer.from(`${names.join("\0")}\0`);
  const offset = (name: string): number => (name === "" ? 0 : strings.indexOf(`\0${name}\0`) + 1);
  const size = options.wide ? 12 : 8;
  const types = Buffer.alloc(12 + members.length * size);
  types.writeUInt32LE(offset("wanted"), 0);
  types.writeUInt32LE(
    ((options.signed ? 0x8000_0000 : 0) + ((options.wide ? 19 : 6) << 24) + members.length) >>> 0,
    4,
  );
  for (const [index, [name, value]] of members.entries()) {
    types.writeUInt32LE(offset(name), 12 + index * size);
    types.writeUInt32LE(Number(BigInt.asUintN(32, BigInt(value))), 16 + index * size);
    if (options.wide)
      types.writeUInt32LE(Number(BigInt.asUintN(32, BigInt(value) >> 32n)), 20 + index * size);
  }
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f, 0);
  header[2] = 1;
  for (const [index, word] of [24, 0, types.length, types.length, strings.length].entries()) {
    header.writeUInt32LE(word, 4 + index * 4);
  }
  return Buffer.concat([header, types, strings]);
}

function readAll(bytes: Buffer): Map<string, EnumTable> {
  const found = new Map<string, EnumTable>();
  collectEnums(bytes, 0, () => true, found);
  return found;
}

test("drop reasons of a module of 7.2", async () => {
  const enums = await readBtfEnums(FOLDER, ["openvswitch", "absent"], (name) => name === "ovs_drop_reason");
  expect([...enums.keys()]).toEqual(["ovs_drop_reason"]);
  expect(enums.get("ovs_drop_reason")?.get(0x2_0005)).toBe("OVS_DROP_METER");
});

test("without a vmlinux there is nothing", async () => {
  expect(await readBtfEnums("/nonexistent", ["openvswitch"], () => true)).toEqual(new Map());
});

describe("values", () => {
  test.each([
    ["signed", { signed: true, wide: false }, [["A", -1], ["B", 7]]], // prettier-ignore
    ["unsigned", { signed: false, wide: false }, [["A", 0xffff_0000], ["B", 7]]], // prettier-ignore
    ["wide and signed", { signed: true, wide: true }, [["A", -5_000_000_000], ["B", 5_000_000_000]]], // prettier-ignore
  ] as const)("%s", (_, options, members) => {
    const table = readAll(makeBtf(members, options)).get("wanted");
    expect(table).toEqual(new Map(members.map(([name, value]) => [value, name])));
  });
});

describe("hostile bytes", () => {
  test("any bytes behind a header: no throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (tail) => {
        expect(() => readAll(Buffer.concat([Buffer.from([0x9f, 0xeb, 1, 0]), tail]))).not.toThrow();
      }),
    );
  });

  test("a real file, cut or damaged anywhere: no throw", () => {
    const real = readFileSync(`${FOLDER}/openvswitch`);
    fc.assert(
      fc.property(fc.nat(real.length - 1), fc.nat(255), (at, value) => {
        expect(() => readAll(real.subarray(0, at))).not.toThrow();
        const damaged = Buffer.from(real.subarray(0, 4096));
        damaged[at % damaged.length] = value;
        expect(() => readAll(damaged)).not.toThrow();
      }),
      { numRuns: 50 },
    );
  });
});
