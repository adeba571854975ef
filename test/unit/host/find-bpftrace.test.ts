import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findBpftrace, findProgram } from "../../../src/host/find-bpftrace.ts";
import type { RunTool, ToolResult } from "../../../src/host/run-tool.ts";
import { makeTree } from "./tree.ts";

function answer(result: ToolResult): RunTool {
  return () => Promise.resolve(result);
}

const VERSION = answer({ ok: true, stdout: "bpftrace v0.23.2\n" });
const PROGRAM = { program: "#!/bin/sh\n" };

describe("which one", () => {
  test("the option wins over the environment, that over PATH", async () => {
    const root = makeTree({ "opt/mine": PROGRAM, "opt/env": PROGRAM, "usr/bin/bpftrace": PROGRAM });
    const env = { PATH: "/usr/bin", TRACE_BPFTRACE: join(root, "opt/env") };
    const requested = join(root, "opt/mine");
    const find = (options: object) =>
      findBpftrace({ requested: null, env: {}, root, run: VERSION, ...options });
    expect((await find({ requested, env })).tool).toMatchObject({ path: requested, source: "option" });
    expect((await find({ env })).tool).toMatchObject({ path: env.TRACE_BPFTRACE, source: "environment" });
    expect((await find({ env: { PATH: "/usr/bin" } })).tool).toEqual({
      path: join(root, "usr/bin/bpftrace"),
      version: "v0.23.2",
      parsed: { major: 0, minor: 23, patch: 2 },
      source: "path",
    });
  });

  test("administrators' folders count without a PATH; a folder or a plain file of that name does not", async () => {
    const root = makeTree({
      "bin/bpftrace/x": "",
      "usr/local/bin/bpftrace": "text",
      "usr/sbin/bpftrace": PROGRAM,
    });
    expect(await findProgram("bpftrace", { PATH: "/bin:relative" }, root)).toBe(
      join(root, "usr/sbin/bpftrace"),
    );
  });

  test("none installed is no problem of its own; one asked for and absent is", async () => {
    const root = makeTree({});
    const find = (requested: string | null) => findBpftrace({ requested, env: {}, root, run: VERSION });
    expect(await find(null)).toEqual({ tool: null, problem: null });
    expect(await find("/nope/bpftrace")).toEqual({
      tool: null,
      problem: "/nope/bpftrace does not exist or cannot be executed",
    });
    expect(await find("bpftrace-0.27")).toEqual({ tool: null, problem: "bpftrace-0.27 was not found" });
  });

  test("an empty variable is as good as none", async () => {
    const root = makeTree({ "usr/bin/bpftrace": PROGRAM });
    const found = await findBpftrace({ requested: null, env: { TRACE_BPFTRACE: "" }, root, run: null });
    expect(found).toMatchObject({ tool: { source: "path", version: null }, problem: null });
  });
});

test.each([
  [{ ok: true, stdout: "bpftrace v0.27.0-dev+1\n" }, "v0.27.0-dev+1", null],
  [{ ok: true, stdout: "hello\u001b[2J" }, null, "/b --version does not name a version"],
  [
    { ok: false, reason: "timeout", message: "took longer than 20 s" },
    null,
    "/b --version: took longer than 20 s",
  ],
] as const)("version from %o", async (result, version, problem) => {
  const root = makeTree({ b: PROGRAM });
  const found = await findBpftrace({ requested: join(root, "b"), env: {}, root, run: answer(result) });
  expect(found.tool?.version ?? null).toBe(version);
  expect(found.problem?.replace(root, "") ?? null).toBe(problem);
});
