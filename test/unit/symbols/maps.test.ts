import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseMaps } from "../../../src/symbols/maps.ts";
import { parseIdentity, parseStatus } from "../../../src/symbols/proc-status.ts";

const parse = (text: string, most = 100) => parseMaps(Buffer.from(text, "latin1"), most);
const line = (path: string, rest = "r-xp 00001000 fd:00 123") =>
  `1000-2000 ${rest}                    ${path}\n`;
const only = (text: string) => parse(text).mappings[0];

describe("parseMaps", () => {
  it("reads a line of every kind as the kernel writes it", () => {
    const { mappings, malformed } = parse(
      [
        "55d0c1a00000-55d0c1a01000 r--p 00000000 fe:01 5311308                    /usr/bin/node",
        "55d0c1a01000-55d0c3000000 r-xp 00001000 fe:01 5311308                    /usr/bin/node",
        "55d0c4000000-55d0c4021000 rw-p 00000000 00:00 0                          [heap]",
        "7f0000000000-7f0000100000 rwxp 00000000 00:00 0 ",
        "7f0000100000-7f0000200000 r-xp 00000000 00:01 77                         /memfd:doublemapper (deleted)",
        "7f0000200000-7f0000300000 rwxp 00000000 00:00 0                          [anon:v8]",
        "7ffd1c2fe000-7ffd1c300000 r-xp 00000000 00:00 0                          [vdso]",
        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
        "",
      ].join("\n"),
    );
    expect(malformed).toBe(0);
    expect(mappings.map((mapping) => [mapping.kind, mapping.executable, mapping.path])).toEqual([
      ["file", false, "/usr/bin/node"],
      ["file", true, "/usr/bin/node"],
      ["special", false, "[heap]"],
      ["anonymous", true, ""],
      ["anonymous", true, "/memfd:doublemapper"],
      ["anonymous", true, "[anon:v8]"],
      ["vdso", true, "[vdso]"],
      ["special", true, "[vsyscall]"],
    ]);
    expect(mappings[1]).toMatchObject({
      start: 0x55d0c1a01000,
      end: 0x55d0c3000000,
      offset: 0x1000,
      inode: "5311308",
    });
  });

  it("keeps odd paths whole", () => {
    expect(only(line("/srv/my app/a  b"))?.path).toBe("/srv/my app/a  b");
    expect(only(line("/tmp/two\\012lines"))?.path).toBe("/tmp/two\nlines");
    expect(only(line("/tmp/caf\xc3\xa9"))?.path).toBe("/tmp/café");
    expect(only(line("/tmp/bad\xff"))?.rawPath).toEqual(Buffer.from("/tmp/bad\xff", "latin1"));
    expect(only(line("/tmp/line\u2028separator"))?.path).toContain("/tmp/line");
  });

  it("says when the file is deleted", () => {
    expect(only(line("/usr/lib/libz.so.1 (deleted)"))).toMatchObject({
      path: "/usr/lib/libz.so.1",
      deleted: true,
      kind: "file",
    });
    expect(only(line("/usr/lib/libz.so.1"))?.deleted).toBe(false);
  });

  it("keeps inode numbers of 64 bits exactly", () => {
    expect(only(line("/a", "r-xp 0 00:1f 18446744073709551615"))?.inode).toBe("18446744073709551615");
  });

  it("counts what it cannot read, also what overlaps, and says when there was too much", () => {
    const text = `${line("/a")}nonsense\n2000-1000 r-xp 0 0:0 1 /b\n1800-1900 r-xp 0 0:0 1 /inside\n3000-4000 r-xp 0 0:0 1 /c\n`;
    expect(parse(text)).toMatchObject({ malformed: 3, truncated: false });
    expect(parse(text).mappings.map((mapping) => mapping.path)).toEqual(["/a", "/c"]);
    expect(parse(text, 1)).toMatchObject({ truncated: true });
  });

  it("never throws, and gives mappings that ascend", () => {
    const odd = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("1000-2000 r-xp 0 0:0 1 /x", "0-ffffffffffffffff rwxp 0 0:0 0", "- r-xp"),
    );
    fc.assert(
      fc.property(fc.array(odd), (lines) => {
        const { mappings } = parseMaps(Buffer.from(lines.join("\n")), 1000);
        for (const [i, mapping] of mappings.entries()) {
          expect(mapping.end).toBeGreaterThan(mapping.start);
          expect(mapping.start).toBeGreaterThanOrEqual(mappings[i - 1]?.end ?? 0);
        }
      }),
    );
  });
});

const formatStat = (comm: string, rest: { started: number; code: number; stack: number }) =>
  `4242 (${comm}) S 1 4242 4242 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 ${rest.started} 2000000 300 18446744073709551615 ` +
  `${rest.code} 9 ${rest.stack} 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0`;

describe("process files", () => {
  it("tells one program from the next by start time and addresses, whatever its name", () => {
    const program = { started: 1, code: 2, stack: 3 };
    const first = parseIdentity(formatStat("sh", program));
    expect(first).toEqual({ key: "1 2 3", hasMemory: true });
    expect(parseIdentity(formatStat(") R 9 (", program))?.key).toBe("1 2 3");
    expect(parseIdentity(formatStat("sh", { ...program, stack: 4 }))?.key).not.toBe(first?.key);
  });

  it("sees that a kernel thread or a zombie has no memory", () => {
    expect(parseIdentity(formatStat("kswapd0", { started: 5, code: 0, stack: 0 }))?.hasMemory).toBe(false);
    expect(parseIdentity("4242 (sh")).toBeNull();
    expect(parseIdentity("")).toBeNull();
  });

  it("reads the innermost pid and the effective user", () => {
    const status = "Name:\tjava\nUid:\t1000\t1001\t1000\t1000\nNSpid:\t4242\t17\t1\n";
    expect(parseStatus(status)).toEqual({ innerPid: 1, uid: 1001 });
    expect(parseStatus("Name:\told\n")).toEqual({ innerPid: null, uid: null });
  });
});
