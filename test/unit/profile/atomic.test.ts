import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAtomicWriter } from "../../../src/files/atomic.ts";
import { explainWriteError } from "../../../src/files/write-error.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-atomic-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const isOurs = (head: Buffer): boolean => head.toString().startsWith("ours");

describe("createAtomicWriter", () => {
  it("shows nothing until commit, then everything", () => {
    const path = join(folder, "out");
    const out = createAtomicWriter(path);
    out.write("ä".repeat(700_000));
    out.write(Buffer.alloc(2_000_000, "x"));
    out.write("end");
    expect(existsSync(path)).toBe(false);
    out.commit();
    const text = readFileSync(path, "utf8");
    expect(text).toBe(`${"ä".repeat(700_000)}${"x".repeat(2_000_000)}end`);
    expect(out.bytes).toBe(Buffer.byteLength(text));
    out.abort();
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  it("leaves nothing behind after abort, and keeps what was there", () => {
    const path = join(folder, "out");
    writeFileSync(path, "ours, old");
    const out = createAtomicWriter(path, { isOurs });
    out.write("new");
    out.abort();
    out.abort();
    expect(readdirSync(folder)).toEqual(["out"]);
    expect(readFileSync(path, "utf8")).toBe("ours, old");
  });

  it("replaces what is ours, nothing else, and anything by force", () => {
    const path = join(folder, "out");
    const write = (options: object): void => {
      const out = createAtomicWriter(path, options);
      out.write("ours, new");
      out.commit();
    };
    writeFileSync(path, "precious");
    expect(() => write({ isOurs })).toThrow(/exists and is not replaced/);
    expect(() => write({})).toThrow(/exists and is not replaced/);
    expect(readFileSync(path, "utf8")).toBe("precious");
    write({ force: true });
    write({ isOurs });
    expect(readFileSync(path, "utf8")).toBe("ours, new");
  });

  it("does not replace a file that appears while it writes", () => {
    const path = join(folder, "out");
    const out = createAtomicWriter(path, { isOurs });
    writeFileSync(path, "precious");
    expect(() => out.commit()).toThrow(/exists and is not replaced/);
    out.abort();
    expect(readdirSync(folder)).toEqual(["out"]);
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  it("writes through a link, which stays one", () => {
    mkdirSync(join(folder, "real"));
    const target = join(folder, "real", "file");
    writeFileSync(target, "ours");
    symlinkSync(target, join(folder, "link"));
    const out = createAtomicWriter(join(folder, "link"), { isOurs });
    out.write("ours, new");
    out.commit();
    expect(lstatSync(join(folder, "link")).isSymbolicLink()).toBe(true);
    expect(readFileSync(target, "utf8")).toBe("ours, new");
  });

  it("writes to a device without replacing it", () => {
    const out = createAtomicWriter("/dev/null");
    out.write("x");
    out.commit();
    expect(lstatSync("/dev/null").isCharacterDevice()).toBe(true);
  });

  it.each([
    ["no/such/folder/out", /the folder .* does not exist/],
    ["file/out", /is not a folder/],
    [".", /it is a folder/],
    ["x".repeat(300), /the name is too long/],
  ])("says why %j cannot be written", (name, why) => {
    writeFileSync(join(folder, "file"), "");
    const attempt = (): void => createAtomicWriter(join(folder, name)).commit();
    expect(attempt).toThrow(expect.objectContaining({ code: 1, why: expect.stringMatching(why) }));
  });

  it("says that the disk is full, and leaves nothing", () => {
    const out = createAtomicWriter("/dev/full");
    out.write("x");
    expect(() => out.commit()).toThrow(
      expect.objectContaining({
        why: "no space left on the device",
        message: "cannot write /dev/full",
        hint: "df -h /dev   # then choose a folder with room: -o /other/folder/FILE",
      }),
    );
  });

  it.each([
    ["/dev/full", "df -h /dev   # then choose a folder with room: --record /other/folder/FILE"],
    [".", expect.stringMatching(/^name a file in it: --record /)],
    ["foreign", expect.stringMatching(/^choose another name with --record, or: rm /)],
  ])("advises the option that named %s", (name, hint) => {
    writeFileSync(join(folder, "foreign"), "");
    const attempt = (): void => {
      const out = createAtomicWriter(resolve(folder, name), { option: "--record" });
      out.write("x");
      out.commit();
    };
    expect(attempt).toThrow(expect.objectContaining({ hint }));
  });
});

it.each([
  ["EACCES", /no permission to write in \/some/],
  ["EROFS", /read-only/],
  ["EDQUOT", /quota/],
  ["EXYZ", /EXYZ/],
])("explains %s", (code, why) => {
  const error = explainWriteError(Object.assign(new Error("x"), { code }), "/some/file");
  expect(error).toMatchObject({
    code: 1,
    message: "cannot write /some/file",
    why: expect.stringMatching(why),
  });
});

it("hands on what is no system error", () => {
  const bug = new Error("bug");
  expect(explainWriteError(bug, "x")).toBe(bug);
});
