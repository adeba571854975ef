// What `npm start` and `npm test` promise before trace runs: set up once, quietly, and hand everything through.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Checkout, watch } from "../unit/bootstrap/checkout.ts";

/** What the user reads while node_modules is made. */
const SETTING_UP = "trace: setting up once (npm ci): node_modules is missing or incomplete\n";

const isRoot = process.getuid?.() === 0;

describe("with everything in place", () => {
  it("is trace: same words, same output, nothing else", async () => {
    using checkout = new Checkout().install();
    const words = ["x", "a b", "$HOME", '"', "--replay", ""];
    expect(await checkout.run(words)).toEqual({
      code: 0,
      signal: null,
      stdout: JSON.stringify(words),
      stderr: "",
    });
    expect(checkout.read("npm.log")).toBe("");
  });

  it("hands through the exit code, a deadly signal and stdin", async () => {
    using checkout = new Checkout().install();
    expect(await checkout.run(["exit", "7"])).toMatchObject({ code: 7, signal: null });
    expect(await checkout.run(["die", "SIGKILL"])).toMatchObject({ code: null, signal: "SIGKILL" });
    const echo = checkout.begin(["echo"]);
    echo.child.stdin?.end("text\u0000\n");
    expect(await echo.ended).toMatchObject({ stdout: "text\u0000\n" });
  });

  it("works in the folder where the user called npm", async () => {
    using checkout = new Checkout().install();
    mkdirSync(join(checkout.root, "sub"));
    const { stdout } = await checkout.run(["where"], { INIT_CWD: join(checkout.root, "sub") });
    expect(stdout).toBe(join(checkout.root, "sub"));
  });
});

describe("node_modules", () => {
  it("is installed when it is missing, announced in one line, and not again", async () => {
    using checkout = new Checkout();
    expect(await checkout.run(["x"])).toEqual({ code: 0, signal: null, stdout: '["x"]', stderr: SETTING_UP });
    expect(await checkout.run(["x"])).toEqual({ code: 0, signal: null, stdout: '["x"]', stderr: "" });
    expect(checkout.read("npm.log")).toMatch(/^ci .*\n$/);
  });

  it("is installed again when the lockfile asks for another version, or a package is gone", async () => {
    using checkout = new Checkout().install();
    checkout.lock("2.0.0");
    expect((await checkout.run(["x"])).stderr).toContain("node_modules/a is another version");
    rmSync(join(checkout.root, "node_modules", "a"), { recursive: true });
    expect((await checkout.run(["x"])).stderr).toContain("node_modules/a is missing");
    expect((await checkout.run(["x"])).stderr).toBe("");
  });

  it("is installed again after an install that did not come to its end", async () => {
    using checkout = new Checkout().install();
    checkout.lock("2.0.0");
    await checkout.run(["x"], { FAKE_NPM: "stop" });
    expect((await checkout.run(["x"])).stderr).toBe(SETTING_UP);
  });

  it("tells why npm failed, what to do, and ends with 3", async () => {
    using checkout = new Checkout();
    const { code, stdout, stderr } = await checkout.run(["x"], { FAKE_NPM: "fail" });
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toContain("npm ci failed (exit 1):");
    expect(stderr).toContain("  the cause\n");
    expect(stderr).toContain(`cd ${checkout.root} && npm ci\n`);
  });

  it("is installed by one of two runs that start together; the other waits and says so", async () => {
    using checkout = new Checkout();
    const go = join(checkout.root, "go");
    const first = checkout.begin(["1"], { FAKE_NPM: go });
    await first.says("setting up once");
    const second = checkout.begin(["2"], { FAKE_NPM: go });
    await second.says(`waiting for the set-up of another run to finish (process ${first.child.pid})`);
    writeFileSync(go, "");
    expect([await first.ended, await second.ended].map((end) => end.stdout)).toEqual(['["1"]', '["2"]']);
    expect(checkout.read("npm.log")).toMatch(/^ci .*\n$/);
  });

  it("is installed although a run that died has left its lock", async () => {
    using checkout = new Checkout();
    const dead = spawnSync(process.execPath, ["--version"]);
    checkout.write(".trace-setup.lock", `${dead.pid} 1\n`);
    expect(await checkout.run(["x"])).toMatchObject({ code: 0, stderr: SETTING_UP });
    expect(existsSync(join(checkout.root, ".trace-setup.lock"))).toBe(false);
  });

  it("leaves no lock when the user interrupts it", async () => {
    using checkout = new Checkout();
    const running = checkout.begin(["x"], { FAKE_NPM: join(checkout.root, "never") });
    await expect.poll(() => checkout.read("npm.log")).not.toBe("");
    running.child.kill("SIGINT");
    expect(await running.ended).toMatchObject({ code: null, signal: "SIGINT", stdout: "" });
    expect(existsSync(join(checkout.root, ".trace-setup.lock"))).toBe(false);
  });
});

describe.skipIf(!isRoot)("bpftrace", () => {
  it("is installed for a command that traces", async () => {
    using checkout = new Checkout().install();
    const { stdout, stderr } = await checkout.run(["drops"]);
    expect(stdout).toBe('["drops"]');
    expect(stderr).toContain(
      "trace: installing bpftrace with apt-get, once (TRACE_NO_INSTALL=1 prevents it)\n",
    );
    expect(stderr).not.toContain("noise");
    await checkout.run(["drops"]);
    expect(checkout.read("apt.log")).toBe("install -y -q --no-install-recommends bpftrace\n");
  });

  it.each([
    ["a command without the kernel", ["list"], {}],
    ["an unknown command", ["dorps"], {}],
    ["a replay", ["drops", "--replay", "x"], {}],
    ["a user who names another", ["drops", "--bpftrace", "/opt/bpftrace"], {}],
    ["an environment that names another", ["drops"], { TRACE_BPFTRACE: "/opt/bpftrace" }],
    ["TRACE_NO_INSTALL", ["drops"], { TRACE_NO_INSTALL: "1" }],
  ])("is not installed for %s", async (_, words, env) => {
    using checkout = new Checkout().install();
    expect(await checkout.run(words, env)).toMatchObject({ code: 0, stdout: JSON.stringify(words) });
    expect(checkout.read("apt.log")).toBe("");
  });

  it("is installed with a renewed list of packages when the old one does not know it", async () => {
    using checkout = new Checkout().install();
    expect((await checkout.run(["drops"], { FAKE_APT: "stale" })).stderr).not.toContain("no such package");
    expect(
      checkout
        .read("apt.log")
        .split("\n")
        .map((line) => line.split(" ")[0]),
    ).toEqual(["install", "update", "install", ""]);
  });

  it.each([
    ["dnf", "install -y -q bpftrace", "makecache -q"],
    ["yum", "install -y -q bpftrace", "makecache -q"],
    [
      "zypper",
      "--non-interactive --quiet install --no-recommends bpftrace",
      "--non-interactive --quiet refresh",
    ],
    ["pacman", "-S --noconfirm --needed bpftrace", "-Sy --noconfirm"],
    ["apk", "add --no-progress bpftrace", "update --no-progress"],
  ])(
    "is installed with %s, after a new list of packages when it has to be",
    async (manager, install, refresh) => {
      using checkout = new Checkout(manager).install();
      const { code, stderr } = await checkout.run(["drops"], { FAKE_APT: "stale" });
      expect(code).toBe(0);
      expect(stderr).toContain(`trace: installing bpftrace with ${manager}, once`);
      expect(checkout.read("apt.log")).toBe(`${install}\n${refresh}\n${install}\n`);
    },
  );

  it("waits for another package manager, and says so", async () => {
    using checkout = new Checkout().install();
    const { stderr } = await checkout.run(["drops"], { FAKE_APT: "locked" });
    expect(stderr).toContain("trace: another package manager is at work; waiting for it");
    expect(checkout.read("apt.log")).toBe("install -y -q --no-install-recommends bpftrace\n".repeat(2));
  });

  it("is not cut off by Ctrl-C: apt-get is told, and comes to its own end", async () => {
    using checkout = new Checkout().install();
    const running = checkout.begin(["drops"], { FAKE_APT: "slow" });
    await running.says("installing bpftrace");
    await expect.poll(() => checkout.read("apt.log")).toMatch(/^install/);
    running.child.kill("SIGINT");
    expect(await running.ended).toMatchObject({ code: null, signal: "SIGINT", stdout: "" });
    expect(checkout.read("apt.log")).toMatch(/\nSIGINT\n$/);
    expect(existsSync(join(checkout.root, ".trace-setup.lock"))).toBe(false);
  });

  it("leaves it to trace to go on without it, and says why and what to do", async () => {
    using checkout = new Checkout().install();
    const { code, stdout, stderr } = await checkout.run(["drops"], { FAKE_APT: "broken" });
    expect({ code, stdout }).toEqual({ code: 0, stdout: '["drops"]' });
    expect(stderr).toContain("apt-get could not install bpftrace (exit 100):\n");
    expect(stderr).toContain("E: no such package\n");
    expect(stderr).toContain("try it by hand: apt-get install");
  });
});

describe("signals", () => {
  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "reach trace once: %s from the terminal and from npm",
    async (signal) => {
      using checkout = new Checkout().install();
      const log = join(checkout.root, "signals.log");
      const running = checkout.begin(["wait", log]);
      await running.says("ready");
      running.child.kill(signal);
      await expect.poll(() => checkout.read("signals.log")).toBe(`${signal}\n`);
      running.child.kill(signal);
      expect(await running.ended).toMatchObject({ code: 5, signal: null });
      expect(checkout.read("signals.log")).toBe(`${signal}\n`);
    },
  );

  it("end trace in order when npm is gone", async () => {
    using checkout = new Checkout().install();
    const script = join(checkout.root, "src", "bootstrap", "start.mjs");
    const words = JSON.stringify([script, "wait", join(checkout.root, "signals.log")]);
    const npm = `require("child_process").spawn(process.execPath, ${words}, { stdio: "inherit" })`;
    const running = watch(
      spawn(process.execPath, ["-e", npm], { cwd: checkout.root, env: { npm_lifecycle_event: "start" } }),
    );
    await running.says("ready");
    running.child.kill("SIGKILL");
    await once(running.child, "exit");
    await expect.poll(() => checkout.read("signals.log"), { timeout: 5000 }).toBe("SIGHUP\n");
    await running.ended;
  });
});

/** Makes the process believe so; the Node it starts then is not touched. */
function pretend(checkout: Checkout): string[] {
  checkout.write("old.cjs", 'Object.defineProperty(process, "versions", { value: { node: "12.22.9" } });');
  return ["--require", join(checkout.root, "old.cjs")];
}

function withPackagedNode(): Checkout {
  const checkout = new Checkout().install();
  const folder = join(checkout.root, "node_modules", `node-linux-${process.arch}`, "bin");
  mkdirSync(folder, { recursive: true });
  symlinkSync(process.execPath, join(folder, "node"));
  return checkout;
}

describe("under a Node that is too old", () => {
  it("runs in the packaged one, which hands everything through", async () => {
    using checkout = withPackagedNode();
    const old = pretend(checkout);
    expect(await checkout.run(["a b"], {}, old)).toEqual({
      code: 0,
      signal: null,
      stdout: '["a b"]',
      stderr: "",
    });
    expect(await checkout.run(["exit", "7"], {}, old)).toMatchObject({ code: 7, signal: null });
    expect(await checkout.run(["die", "SIGKILL"], {}, old)).toMatchObject({ code: null, signal: "SIGKILL" });
  });

  it("passes a signal on and waits for the report", async () => {
    using checkout = withPackagedNode();
    const running = checkout.begin(["wait", join(checkout.root, "signals.log")], {}, pretend(checkout));
    await running.says("ready");
    running.child.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ code: 5, signal: null });
    expect(checkout.read("signals.log")).toBe("SIGTERM\n");
  });

  it("says what to do where there is no packaged one", async () => {
    using checkout = new Checkout().install();
    const { code, stdout, stderr } = await checkout.run(["x"], {}, pretend(checkout));
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/^trace: Node 12\.22\.9 is too old, .*\ntrace: install Node 24 .*\n$/);
  });
});

const live = (...statuses: string[]) => file("/c/test/live/drops.test.ts", ...statuses);
const unit = (...statuses: string[]) => file("/c/test/unit/x.test.ts", ...statuses);

function file(name: string, ...statuses: string[]) {
  const status = statuses.includes("failed") || statuses.length === 0 ? "failed" : "passed";
  return { name, status, assertionResults: statuses.map((each) => ({ status: each })) };
}

describe("the closing line of .ci/run", () => {
  it.each([
    ["all passed", [live("passed"), unit("passed", "skipped")], "0", 0, "2 passed, 0 failed, 1 skipped\n"],
    ["a test failed", [live("passed"), unit("failed")], "1", 1, "1 passed, 1 failed, 0 skipped\n"],
    ["a file could not be loaded", [live("passed"), unit()], "1", 1, "1 passed, 1 failed, 0 skipped\n"],
    ["no live test ran", [unit("passed")], "0", 1, "1 passed, 0 failed, 0 skipped\n"],
    ["a live test was skipped", [live("passed", "skipped")], "0", 1, "1 passed, 0 failed, 1 skipped\n"],
    ["the checks failed", [live("passed")], "2", 1, "1 passed, 0 failed, 0 skipped\n"],
    ["there is no report", null, "3", 1, "0 passed, 0 failed, 0 skipped\n"],
  ])("%s", (_, testResults, status, code, line) => {
    using checkout = new Checkout();
    if (testResults !== null) checkout.write("report.json", JSON.stringify({ testResults }));
    const tally = join(checkout.root, "src", "bootstrap", "tally.mjs");
    const end = spawnSync(process.execPath, [tally, join(checkout.root, "report.json"), status], {
      encoding: "utf8",
    });
    expect(end.status).toBe(code);
    expect(end.stdout.endsWith(line)).toBe(true);
  });
});
