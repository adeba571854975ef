import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sh } from "./support/shell.ts";
import { startTrace, traceDuring } from "./support/trace.ts";
import { createWorld } from "./support/world.ts";

const FAKE = join(import.meta.dirname, "..", "..", "fixtures", "bin", "bpftrace");
const CLI = join(import.meta.dirname, "..", "..", "src", "cli.ts");

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "trace-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** At most three lines, none of them a stack. */
function expectTerse(stderr: string): void {
  const lines = stderr.split("\n").filter((line) => /^(trace: (?!drops|warning)|  why:|  try:)/.test(line));
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThanOrEqual(3);
  expect(stderr).not.toMatch(/\n\s+at .*\(/);
}

const fake = (scenario: string, args: string[] = []) =>
  startTrace(["drops", "--bpftrace", FAKE, "--no-profile", ...args], {
    cwd: folder,
    env: { FAKE_BPFTRACE: scenario },
  });

describe("a bpftrace that misbehaves", () => {
  test("dies at once: exit 3 with the cause, a summary, nothing left", async () => {
    await using run = fake("dies-at-once");
    const end = await run.done;
    expect(end.code).toBe(3);
    expect(end.summary["type"]).toBe("summary");
    expect(end.summary["error"].message).toBeTruthy();
    expectTerse(end.stderr);
  });

  test.each(["dies-half-way", "killed-half-way"])(
    "%s: exit 1, and what was counted is reported",
    async (scenario) => {
      await using run = fake(scenario);
      const end = await run.done;
      expect(end.code).toBe(1);
      expect(end.summary).toMatchObject({
        type: "summary",
        drops: { total: 7, byReason: { NETFILTER_DROP: 7 } },
        unattributed: 7,
      });
      expectTerse(end.stderr);
    },
  );

  test("prints rubbish: counted notices, the rest is read", async () => {
    await using run = fake("rubbish");
    await run.until((record) => record.type === "notice" && record["code"] === "malformed");
    const end = await run.stop();
    expect(end.code).toBe(0);
    expect(end.summary["drops"].total).toBe(7);
    const malformed = end.records.filter((record) => record["code"] === "malformed");
    expect(malformed.reduce((sum, record) => sum + record["count"], 0)).toBeGreaterThanOrEqual(3);
  });

  test("ignores SIGTERM: killed after a while, said so", async () => {
    await using run = fake("ignores-term");
    await run.ready();
    const end = await run.stop();
    expect(end.code).toBe(0);
    expect(end.records.some((record) => record["code"] === "killed")).toBe(true);
  }, 30_000);

  test("never gets ready: Ctrl-C still ends it well", async () => {
    await using run = fake("never-ready");
    await run.until((record) => record.type === "session");
    const end = await run.stop();
    expect(end).toMatchObject({ code: 0, summary: { type: "summary", drops: { total: 0 } } });
  });

  test("hostile names break no record, no table and no terminal", async () => {
    const child = spawn(process.execPath, [CLI, "drops", "--bpftrace", FAKE, "--no-profile", "-d", "1s"], {
      cwd: folder,
      env: { ...process.env, FAKE_BPFTRACE: "hostile", CI: "true" },
    });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    expect(out).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f]/);
    expect(out).toContain("\\x1b[31m");
  });

  test("gets the program on standard input and leaves no file behind", async () => {
    const out = join(folder, "got");
    await using run = startTrace(["drops", "--bpftrace", FAKE, "--no-profile"], {
      cwd: folder,
      env: { FAKE_BPFTRACE: "echo", FAKE_OUT: out },
    });
    await run.ready();
    expect((await run.stop()).code).toBe(0);
    const text = await readFile(out, "utf8");
    expect(text.split("\n")[0]).toBe("-f json --no-warnings -");
    expect(text).toContain("tracepoint:skb:kfree_skb");
    expect(await readdir(folder)).toEqual(["got"]);
  });
});

describe("a host that says no", () => {
  test("not root: exit 3 and the command that works", async () => {
    await using run = startTrace(["drops", "-d", "1s"], { cwd: "/" });
    expect((await run.stop("SIGKILL")).signal).toBe("SIGKILL");
    const failed = sh(
      "setpriv",
      "--reuid",
      "65534",
      "--clear-groups",
      process.execPath,
      CLI,
      "drops",
      "-d",
      "1s",
    ).then(
      () => null,
      (error: Error) => error.message,
    );
    expect(await failed).toContain("sudo trace drops");
  });

  test("no tracefs: exit 3 and the mount command", async () => {
    const script = `umount /sys/kernel/tracing 2>/dev/null; umount /sys/kernel/debug 2>/dev/null; exec "$0" "$1" drops -d 1s`;
    const failed = sh("unshare", "--mount", "bash", "-c", script, process.execPath, CLI).then(
      () => null,
      (error: Error) => error.message,
    );
    expect(await failed).toContain("mount -t tracefs");
  });

  test.each([
    [["--bpftrace", "/nonexistent/bpftrace"], "does not exist"],
    [["-o", "/nonexistent/p.json"], "mkdir -p"],
    [["--record", "/proc/nope"], "cannot write"],
  ])("%j: said before anything is traced", async (args, text) => {
    const failed = sh(process.execPath, CLI, "drops", "-d", "1s", ...args).then(
      () => null,
      (error: Error) => error.message,
    );
    expect(await failed).toContain(text);
  });

  test("an existing file that is not ours is not replaced", async () => {
    const path = join(folder, "notes.json");
    await writeFile(path, "my notes");
    const failed = sh(process.execPath, CLI, "drops", "-d", "1s", "-o", path).then(
      () => null,
      (error: Error) => error.message,
    );
    expect(await failed).toContain("is not replaced");
    expect(await readFile(path, "utf8")).toBe("my notes");
  });

  test("a full disk: exit 1, the report is complete, no half file", async () => {
    await using world = await createWorld();
    await world.server.run("iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
    await sh("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder);
    try {
      await using run = startTrace(["drops", "--netns", world.server.netns, "-o", join(folder, "p.json")]);
      await run.ready();
      await writeFile(join(folder, "fill"), Buffer.alloc(4096)).catch(() => {});
      await world.client.run(
        "perl",
        "-e",
        `use Socket; socket(my $s,PF_INET,SOCK_DGRAM,17); send($s,"x",0,sockaddr_in(9,inet_aton("${world.server.address}"))) for 1..5`,
      );
      const end = await run.stop();
      expect(end.code).toBe(1);
      expect(end.summary).toMatchObject({ drops: { total: 5 }, profile: null });
      expect(end.stderr).toContain("no space left");
      expect(await readdir(folder)).toEqual(["fill"]);
    } finally {
      await sh("umount", folder);
    }
  });
});

describe("ends", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s after ready is a normal end", async (signal) => {
    await using run = startTrace(["drops", "--no-profile"]);
    await run.ready();
    const end = await run.stop(signal);
    expect(end).toMatchObject({ code: 0, signal: null, summary: { type: "summary" } });
  });

  test("Ctrl-C before ready is a normal end", async () => {
    await using run = startTrace(["drops", "--no-profile"]);
    await run.until((record) => record.type === "session");
    expect(await run.stop()).toMatchObject({ code: 0, summary: { type: "summary" } });
  });

  test("a reader that goes away ends it with exit 1, without a stack", async () => {
    const child = spawn(process.execPath, [CLI, "drops", "--format", "json", "--no-profile", "-i", "100ms"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout.once("data", () => child.stdout.destroy());
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(1);
    expect(stderr).toContain("went away");
    expectTerse(stderr);
  });

  test("two runs at once count the same drops", async () => {
    await using world = await createWorld();
    await world.server.run("iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP");
    await using first = startTrace([
      "drops",
      "--no-profile",
      "--proto",
      "udp",
      "--netns",
      world.server.netns,
    ]);
    await first.ready();
    const second = await traceDuring(["drops", "--proto", "udp", "--netns", world.server.netns], () =>
      world.client.run(
        "perl",
        "-e",
        `use Socket; socket(my $s,PF_INET,SOCK_DGRAM,17); send($s,"x",0,sockaddr_in(9,inet_aton("${world.server.address}"))) for 1..1000`,
      ),
    );
    const end = await first.stop();
    expect([end.summary["drops"].total, second.summary["drops"].total]).toEqual([1000, 1000]);
  });
});
