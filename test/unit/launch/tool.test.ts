import { describe, expect, it } from "vitest";
import type { RunTool } from "../../../src/host/run-tool.ts";
import { runTool } from "../../../src/launch/tool.ts";

// What the host stage asks for.
const run: RunTool = runTool;

describe("runTool", () => {
  it("hands over what a tool prints, without a shell in between", async () => {
    const words = ['$HOME `id` "x" \'', "; echo y"];
    expect(await runTool("printf", ["%s|", ...words])).toEqual({
      ok: true,
      stdout: `${words.join("|")}|`,
      stderr: "",
    });
  });

  it("gives it no input to wait for, and hands over what it is given", async () => {
    expect(await run("cat", [])).toMatchObject({ ok: true, stdout: "" });
    expect(await runTool("cat", [], { input: "a\nb" })).toMatchObject({ ok: true, stdout: "a\nb" });
  });

  it("says that a tool is missing", async () => {
    expect(await runTool("trace-no-such-tool", [])).toMatchObject({
      ok: false,
      reason: "missing",
      message: "trace-no-such-tool is not installed",
    });
    expect(await runTool("sh", ["-c", "trace-no-such-tool"])).toMatchObject({ ok: false, reason: "missing" });
  });

  it("says how a tool failed, in its own words, and keeps what it printed", async () => {
    const outcome = await runTool("sh", ["-c", "echo half; echo first >&2; echo no such thing >&2; exit 3"]);
    expect(outcome).toMatchObject({
      ok: false,
      reason: "failed",
      message: "sh: exit status 3: no such thing",
      stdout: "half\n",
    });
    expect(await runTool("sh", ["-c", "kill -TERM $$"])).toMatchObject({
      ok: false,
      message: "sh: killed by SIGTERM",
    });
  });

  it("ends a tool that takes too long, and what that has started", async () => {
    const start = performance.now();
    const outcome = await runTool("sh", ["-c", "echo before; sleep 60 & sleep 60; echo after"], {
      timeout: 0.3,
    });
    expect(outcome).toMatchObject({
      ok: false,
      reason: "timeout",
      stdout: "before\n",
      message: "sh took longer than 0.3 s",
    });
    // Both sleeps hold the pipe: it only closes when they are gone.
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it("ends a tool that prints too much", async () => {
    const outcome = await runTool("sh", ["-c", "while :; do echo 0123456789; done"], {
      maxBytes: 1000,
      timeout: 10,
    });
    expect(outcome).toMatchObject({ ok: false, reason: "failed", message: "sh printed too much" });
    expect(outcome.stdout.length).toBeLessThanOrEqual(1000);
  });

  it("does not throw for arguments that no program can get", async () => {
    expect(await runTool("echo", ["a\0b"])).toMatchObject({ ok: false, reason: "failed" });
    expect(await runTool("", [])).toMatchObject({ ok: false });
  });

  it("speaks English and finds the tools of root", async () => {
    const { stdout } = await runTool("sh", ["-c", 'printf "%s %s" "$LC_ALL" "$PATH"']);
    expect(stdout).toMatch(/^C .*:\/usr\/sbin:\/sbin$/);
  });
});
