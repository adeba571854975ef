import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { launchBpftrace, type BpftraceProcess, type ProcessEvent } from "../../../src/launch/bpftrace.ts";
import { openOutputPipe } from "../../../src/launch/output-pipe.ts";

let folder = "";
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "trace-launch-test-"))));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

interface Run {
  readonly process: BpftraceProcess;
  readonly lines: string[];
  readonly events: ProcessEvent[];
  readonly exit: Promise<Extract<ProcessEvent, { kind: "exit" }>>;
}

/** Runs a shell script where bpftrace would be. `onLine` is told each line as it comes. */
function launch(script: string, onLine: (line: string) => void = () => {}, path = "/bin/sh"): Run {
  const lines: string[] = [];
  const events: ProcessEvent[] = [];
  const { promise: exit, resolve } = Promise.withResolvers<Extract<ProcessEvent, { kind: "exit" }>>();
  const process = launchBpftrace({
    path,
    args: ["-c", script],
    input: "",
    environment: {},
    onEvent(event) {
      events.push(event);
      if (event.kind === "exit") return resolve(event);
      if (event.kind !== "line") return;
      lines.push(event.line.toString());
      onLine(event.line.toString());
    },
  });
  return { process, lines, events, exit };
}

/** What the reading end of the pipe is: made in the test's own folder, so that what is left behind would be seen. */
const KINDS = [
  { name: "the pipe", tmp: () => folder },
  { name: "the stream where no pipe can be made", tmp: () => join(folder, "missing") },
];

test.each(KINDS)("$name: all lines arrive in order, few and many, small and large", async ({ tmp }) => {
  vi.stubEnv("TMPDIR", tmp());
  const script = `
    i=0; while [ $i -lt 3000 ]; do echo "small $i"; i=$((i+1)); done
    head -c 3000000 /dev/zero | tr '\\0' x; echo
    echo last; printf 'no newline'`;
  const { lines, events, exit } = launch(script);
  expect(await exit).toMatchObject({ code: 0, signal: null, startError: null, killed: false });
  expect(lines.slice(0, 3000)).toEqual(Array.from({ length: 3000 }, (_, index) => `small ${index}`));
  expect(lines.slice(3000).map((line) => line.length)).toEqual([3_000_000, 4, 10]);
  expect(lines.at(-1)).toBe("no newline");
  expect(events.at(-1)?.kind).toBe("exit");
  expect(readdirSync(folder)).toEqual([]);
});

test.each(KINDS)(
  "$name: what was written before a crash arrives, and the exit comes last",
  async ({ tmp }) => {
    vi.stubEnv("TMPDIR", tmp());
    const { lines, events, exit } = launch("echo one; echo two; kill -9 $$");
    expect(await exit).toMatchObject({ code: null, signal: "SIGKILL" });
    expect(lines).toEqual(["one", "two"]);
    expect(events.at(-1)?.kind).toBe("exit");
  },
);

test.each(KINDS)("$name: what cannot be started ends with the reason", async ({ tmp }) => {
  vi.stubEnv("TMPDIR", tmp());
  const { lines, exit } = launch("", () => {}, join(folder, "nothing-here"));
  const { code, startError } = await exit;
  expect(code).toBeNull();
  expect(startError).toContain("ENOENT");
  expect(lines).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
});

test.each(KINDS)("$name: SIGTERM ends it, and what it prints then arrives in full", async ({ tmp }) => {
  vi.stubEnv("TMPDIR", tmp());
  const script = `trap 'i=0; while [ $i -lt 5000 ]; do echo "map entry $i"; i=$((i+1)); done; exit 0' TERM
    echo ready; while :; do sleep 0.02; done`;
  const run = launch(script, (line) => {
    if (line === "ready") run.process.stop();
  });
  expect(await run.exit).toMatchObject({ code: 0, killed: false });
  expect(run.lines).toHaveLength(5001);
  expect(run.lines.at(-1)).toBe("map entry 4999");
});

test("a program it leaves behind with its stdout open is not waited for", async () => {
  vi.stubEnv("TMPDIR", folder);
  const run = launch("sleep 60 2>/dev/null & echo $!; exit 3");
  expect((await run.exit).code).toBe(3);
  process.kill(Number(run.lines[0]), "SIGKILL");
});

test("many lines are read in few gulps", async () => {
  vi.stubEnv("TMPDIR", folder);
  const sizes: number[] = [];
  const pipe = openOutputPipe((chunk) => sizes.push(chunk.length));
  if (pipe === null) throw new Error("no pipe could be made");
  const script = 'i=0; while [ $i -lt 20000 ]; do echo "sample $i"; i=$((i+1)); done';
  const child = spawn("/bin/sh", ["-c", script], { stdio: ["ignore", pipe.writer, "inherit"] });
  const over = once(child, "exit");
  pipe.begin();
  await over;
  await pipe.drain(1);
  const bytes = Array.from({ length: 20_000 }, (_, index) => `sample ${index}\n`.length);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(bytes.reduce((sum, size) => sum + size, 0));
  expect(sizes.length).toBeLessThan(1000);
});
