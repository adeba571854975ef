import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { gzipSync } from "node:zlib";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { generateBpftraceText } from "../../bench/generate-bpftrace-text.ts";
import { addConvertCommand } from "../../../src/commands/convert.ts";
import { addDiffCommand } from "../../../src/commands/diff.ts";
import { addViewCommand } from "../../../src/commands/view.ts";
import type { CommandIo } from "../../../src/commands/io.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-commands-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

class Capture extends Writable {
  readonly chunks: Buffer[] = [];
  readonly isTTY: boolean = false;
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(chunk);
    done();
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}

/** Runs one command line; what it prints is in `out` and `err`. */
async function run(...words: string[]): Promise<{ out: string; err: string }> {
  const out = new Capture();
  const err = new Capture();
  const io = { stdout: out, stderr: err, color: false, width: 100, exit: () => {} };
  const program = new Command("trace").exitOverride().configureOutput({ writeErr: () => {} });
  if (!isCommandIo(io)) throw new Error("no io");
  for (const add of [addConvertCommand, addDiffCommand, addViewCommand]) add(program, io);
  await program.parseAsync(words, { from: "user" });
  return { out: out.text, err: err.text };
}

/** The commands use no more of a terminal than `write` and `isTTY`. */
function isCommandIo(io: object): io is CommandIo {
  return "stdout" in io;
}

function put(name: string, text: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const bpftrace = "@[\n    read+1\n    entry_SYSCALL_64+2\n, cat]: 3\n@[, sh]: 2\n";

describe("trace convert", () => {
  it("knows its input by content and its output by name", async () => {
    const input = put("map.svg", bpftrace);
    const output = join(folder, "out.folded");
    const { out, err } = await run("convert", input, "-o", output);
    expect(readFileSync(output, "utf8")).toBe("cat;entry_SYSCALL_64_[k];read_[k] 3\nsh 2\n");
    expect(out).toContain(`${output}  folded`);
    expect(err).toBe("");
  });

  it("reads gzip, writes to standard output, and says what it left out on the other stream", async () => {
    const input = put("map.gz", gzipSync(`${bpftrace}    lost+1\n]: 9\n`));
    const { out, err } = await run("convert", input, "--to", "folded");
    expect(out).toBe("cat;entry_SYSCALL_64_[k];read_[k] 3\nsh 2\n");
    expect(err).toBe(`trace: warning: ${input} (bpftrace): 2 damaged lines not converted\n`);
  });

  it("converts what is whole of a damaged gzip", async () => {
    const packed = gzipSync(bpftrace.repeat(2000), { level: 0 });
    const input = put("cut.gz", packed.subarray(0, packed.length - 30_000));
    const { out, err } = await run("convert", input, "--to", "folded");
    expect(out).toMatch(/^cat;\S+ \d{4}\nsh \d{4}\n$/);
    expect(err).toMatch(
      /the gzip data ends too early or is damaged: only what came before that is converted/,
    );
  });

  it("puts several files into one speedscope file, with a unit where they have none", async () => {
    const output = join(folder, "out.json");
    await run("convert", put("one", bpftrace), put("two", "a;b 4\n"), "-o", output, "--unit", "bytes");
    const file: unknown = JSON.parse(readFileSync(output, "utf8"));
    expect(file).toMatchObject({
      profiles: [
        { name: "one", unit: "bytes", endValue: 5 },
        { name: "two", unit: "bytes", endValue: 4 },
      ],
    });
  });

  it("takes the profile that is asked for, and says so when it had to choose", async () => {
    const input = put("maps", "@on[\n    a+1\n]: 1\n@off[\n    b+1\n]: 2\n");
    expect((await run("convert", input, "--to", "folded", "--select", "@off")).out).toBe("b 2\n");
    expect((await run("convert", input, "--to", "folded", "--select", "2")).out).toBe("b 2\n");
    const first = await run("convert", input, "--to", "folded");
    expect(first.out).toBe("a 1\n");
    expect(first.err).toBe('trace: folded holds one profile: took "@on" of 2 (--select)\n');
    await expect(run("convert", input, "--to", "folded", "--select", "3")).rejects.toMatchObject({
      code: 2,
      why: '2 in the input: 1 "@on", 2 "@off"',
    });
  });

  it("leaves neither a file nor a temporary one behind when it fails", async () => {
    const output = join(folder, "out.json");
    await expect(run("convert", put("bad", "nothing\n"), "-o", output)).rejects.toMatchObject({ code: 1 });
    await expect(run("convert", join(folder, "none"), "-o", output)).rejects.toMatchObject({
      why: "there is no such file",
    });
    await expect(run("convert", folder, "-o", output)).rejects.toMatchObject({ why: "it is a folder" });
    expect(readdirSync(folder)).toEqual(["bad"]);
  });

  it("does not overwrite what is not ours", async () => {
    const input = put("map", bpftrace);
    const output = put("out.json", "{}");
    await expect(run("convert", input, "-o", output)).rejects.toMatchObject({ code: 1 });
    expect(readFileSync(output, "utf8")).toBe("{}");
    await run("convert", input, "-o", output, "--force");
    await run("convert", input, "-o", output);
    expect(JSON.parse(readFileSync(output, "utf8"))).toHaveProperty("profiles");
  });

  it("keeps every stack of a file of several blocks, and folds beyond the budget", async () => {
    const input = join(folder, "big");
    const { total } = generateBpftraceText(input, 3000);
    const folded = (await run("convert", input, "--to", "folded")).out.trim().split("\n");
    expect(folded).toHaveLength(3000);
    expect(folded.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0)).toBe(total);
    const output = join(folder, "out.json");
    const { out } = await run("convert", input, "-o", output, "--node-budget", "5000");
    expect(out).toMatch(
      /the lower ends of [\d,]+ small stacks \([\d.]+ % of the total\) are folded; totals are exact/,
    );
    expect(JSON.parse(readFileSync(output, "utf8"))).toMatchObject({ profiles: [{ endValue: total }] });
  });

  it.each(["svg", "html", "pprof"] as const)("writes %s", async (format) => {
    const output = join(folder, "out");
    await run("convert", put("map", bpftrace), "-o", output, "--to", format);
    expect(readFileSync(output).length).toBeGreaterThan(100);
  });
});

describe("trace diff", () => {
  it("prints a table and writes every form that is asked for", async () => {
    const before = put("before", "main;read 30\nmain;loop 70\n");
    const after = put("after", "main;read 10\nmain;loop 10\n");
    const files = ["d.svg", "d.html", "d.folded", "d.speedscope.json"].map((name) => join(folder, name));
    const { out } = await run("diff", before, after, ...files.flatMap((file) => ["-o", file]));
    expect(out).toMatch(
      /^before: before: 100\nafter: after: 20 {3}\(-80.0 % in all; below, both are 100 %\)\n/,
    );
    expect(out).toMatch(/^-20\.00 +70\.00% +50\.00% +70\.00% +50\.00% +loop$/m);
    expect(out).toMatch(/^\+20\.00 +30\.00% +50\.00% +30\.00% +50\.00% +read$/m);
    expect(files.every((file) => existsSync(file))).toBe(true);
    expect(JSON.parse(readFileSync(files[3] ?? "", "utf8"))).toMatchObject({
      profiles: [{ name: "before: before" }, { name: "after: after" }],
    });
  });

  it("says when nothing changed, and refuses to compare bytes with seconds", async () => {
    const one = put("one", "a 1\n");
    expect((await run("diff", one, one)).out).toContain("No function changed by 0.05% or more");
    const seconds = join(folder, "seconds.json");
    await run("convert", one, "-o", seconds, "--unit", "seconds");
    await expect(run("diff", one, seconds)).rejects.toMatchObject({
      why: expect.stringContaining("in seconds"),
    });
    await expect(run("diff", one, one, "-o", join(folder, "x.bin"))).rejects.toMatchObject({ code: 2 });
  });
});

describe("trace view --html", () => {
  it("writes one page", async () => {
    const output = join(folder, "page.html");
    const { out } = await run("view", put("map", bpftrace), "--html", output);
    expect(out).toContain("needs no network");
    expect(readFileSync(output, "utf8")).toContain("speedscope");
  });
});
