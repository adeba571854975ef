import { Writable } from "node:stream";
import { Command } from "commander";
import { expect, test } from "vitest";
import { addDoctorCommand } from "../../../src/commands/doctor.ts";
import type { RunTool } from "../../../src/host/run-tool.ts";
import { makeTree } from "./tree.ts";

const NEW = new URL("../../../fixtures/hosts/proc-7.2", import.meta.url).pathname;
const OLD = new URL("../../../fixtures/hosts/proc-5.10", import.meta.url).pathname;
const PROGRAM = { program: "#!/bin/sh\n" };

interface Outcome {
  stdout: string;
  stderr: string;
  code: number | null;
  commands: string[];
}

/** Runs `trace doctor` against a recorded machine; the programs it starts answer as `fails` says. */
async function doctor(
  args: readonly string[],
  options: {
    root?: string;
    env?: Record<string, string>;
    fails?: (command: string) => boolean;
    color?: boolean;
  } = {},
): Promise<Outcome> {
  const outcome: Outcome = { stdout: "", stderr: "", code: null, commands: [] };
  const collect = (name: "stdout" | "stderr") =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        outcome[name] += chunk.toString();
        done();
      },
    });
  const run: RunTool = (command, words) => {
    const line = [command, ...words].join(" ");
    if (line.endsWith("--version")) return Promise.resolve({ ok: true, stdout: "bpftrace v0.27.0\n" });
    outcome.commands.push(line);
    return Promise.resolve(
      options.fails?.(line) === true
        ? { ok: false, reason: "failed", message: "exit 100: \u001b[31mno" }
        : { ok: true, stdout: "" },
    );
  };
  const io = {
    stdout: collect("stdout"),
    stderr: collect("stderr"),
    color: options.color ?? false,
    width: 80,
  };
  const program = new Command("trace").exitOverride();
  addDoctorCommand(
    program,
    { ...io, exit: (code) => void (outcome.code = code) },
    { run, env: options.env ?? {}, root: options.root ?? NEW },
  );
  await program.parseAsync(["doctor", ...args], { from: "user" });
  return outcome;
}

test("a table of at most 80 columns, plain on a pipe, and exit 3 without bpftrace", async () => {
  const { stdout, stderr, code, commands } = await doctor([]);
  const lines = stdout.split("\n");
  const table = lines.slice(0, lines.indexOf(""));
  expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(80);
  // oxlint-disable-next-line no-control-regex -- none may be there
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  expect(stdout).toContain("kernel           ok       7.2.12+deb14-amd64, x86_64, 2 CPUs\n");
  expect(stdout).toContain("  apt-get install -y --no-install-recommends bpftrace   # bpftrace\n");
  expect(stdout).toContain("  trace doctor --fix   # does it for bpftrace\n");
  expect(stdout).toMatch(/\ntrace drops cannot run here: bpftrace\.\n$/);
  expect([stderr, code, commands]).toEqual(["", 3, []]);
});

test("exit 0 when drops can run; colour only where it is wanted", async () => {
  const bin = makeTree({ bpftrace: PROGRAM });
  const { stdout, code } = await doctor(["--bpftrace", `${bin}/bpftrace`], { color: true });
  expect(code).toBe(0);
  expect(stdout).toContain("\u001b[32mok\u001b[39m");
  expect(stdout).toContain("trace drops can run here.");
});

test("a path of any length stays whole", async () => {
  const path = `/nope/${"x".repeat(120)}`;
  expect((await doctor(["--bpftrace", path])).stdout).toContain(path);
});

test("records: one a line, the summary last", async () => {
  const { stdout, code } = await doctor(["--format", "json"]);
  const records = stdout
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line));
  for (const record of records) {
    expect(record["time"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  }
  const { type, ...summary } = records.at(-1) ?? {};
  expect(type).toBe("summary");
  expect(summary).toMatchObject({ kernel: "7.2.12+deb14-amd64", bpftrace: null, canTraceDrops: false });
  expect(summary["missing"]).toContain("bpftrace");
  expect(records.slice(0, -1).every((record) => record["type"] === "check")).toBe(true);
  expect(records.find((record) => record["id"] === "bpftrace")).toMatchObject({
    status: "missing",
    fixable: "install-bpftrace",
    required: true,
  });
  expect(code).toBe(3);
});

test("an unknown format is wrong usage", async () => {
  await expect(doctor(["--format", "xml"])).rejects.toMatchObject({ code: "commander.invalidArgument" });
});

test("--fix installs bpftrace, after fetching the lists when the first try fails, and looks again", async () => {
  let tries = 0;
  const { stderr, commands, code } = await doctor(["--fix"], {
    root: OLD,
    fails: (command) => command.includes(" install ") && (tries += 1) === 1,
  });
  const apt = "env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -o DPkg::Lock::Timeout=120";
  const install = `${apt} install -y --no-install-recommends bpftrace`;
  expect(commands).toEqual([install, `${apt} update`, install]);
  expect(stderr).toContain("trace doctor: apt-get install -y --no-install-recommends bpftrace\n");
  expect(stderr).toContain("that failed: exit 100: \\x1b[31mno\n");
  // Nothing was installed in truth: the table says so.
  expect(code).toBe(3);
});

test("--fix mounts tracefs", async () => {
  const root = makeTree({
    "proc/sys/kernel/osrelease": "6.1.0\n",
    "proc/filesystems": "nodev\ttracefs\n",
    "proc/self/status": "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
    "usr/bin/bpftrace": PROGRAM,
  });
  const { commands } = await doctor(["--fix"], { root });
  expect(commands).toEqual(["mount -t tracefs -o nosuid,nodev,noexec tracefs /sys/kernel/tracing"]);
});

test("TRACE_NO_INSTALL=1 is obeyed", async () => {
  const { commands, stderr } = await doctor(["--fix"], { root: OLD, env: { TRACE_NO_INSTALL: "1" } });
  expect(commands).toEqual([]);
  expect(stderr).toContain("TRACE_NO_INSTALL=1 is set; by hand: apt-get install");
});

test("--fix without root runs nothing and says how", async () => {
  const root = makeTree({
    "proc/sys/kernel/osrelease": "6.1.0\n",
    "etc/os-release": "ID=debian\n",
    "proc/self/status": "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0\n",
  });
  const { commands, stderr, code } = await doctor(["--fix"], { root });
  expect(commands).toEqual([]);
  expect(stderr).toMatch(/--fix needs root for .*bpftrace.*: sudo trace doctor --fix\n$/);
  expect(code).toBe(3);
});

test("--fix with nothing to do says so", async () => {
  const bin = makeTree({ bpftrace: PROGRAM });
  const { stderr, commands } = await doctor(["--fix", "--bpftrace", `${bin}/bpftrace`]);
  expect([stderr, commands]).toEqual(["trace doctor: nothing that --fix could do\n", []]);
});
