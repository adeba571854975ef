// `npm test`: sets up what the tests need, then runs the checks and all tests. `npm test -- ARGS` is `vitest run
// ARGS` behind the same set-up, without the checks. Runs on Node 12.22.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { runChild } from "./child.mjs";
import { mayInstall } from "./decide.mjs";
import { findNpm, installDependencies } from "./dependencies.mjs";
import { ROOT, findNode, findStale, hasTracefs, isLinuxRoot } from "./look.mjs";
import { Interrupted, runMain } from "./stop.mjs";
import { findManager, installPrograms, mountTracefs } from "./system.mjs";

const NEED = { dev: true };

/** Where vitest's JSON report goes, for .ci/run; then the output is without colours. */
const REPORT = process.env.TRACE_TEST_REPORT || "";

/** What the live tests call, by Debian's package names; with another package manager, install them by hand. */
const TEST_TOOLS = {
  ip: "iproute2",
  iptables: "iptables",
  nft: "nftables",
  ethtool: "ethtool",
  "g++": "g++",
  objcopy: "binutils",
};

runMain(async () => {
  const args = process.argv.slice(2);
  const all = args.length === 0;
  if (findStale(NEED) !== null) await installDependencies(NEED);
  if (isLinuxRoot() && (all || args.some((arg) => arg.includes("live")))) await prepareKernel();

  const checks = all ? await runChecks() : 0;
  const tests = await runVitest(args);
  if (checks !== 0) process.stderr.write("npm run check failed, see above the tests\n");
  process.exitCode = checks || tests;
});

async function prepareKernel() {
  if (!hasTracefs()) mountTracefs();
  if (!mayInstall(process.env)) return;
  await installPrograms({ bpftrace: "bpftrace" }, "the live tests need it");
  const manager = findManager();
  if (manager === null || manager.name !== "apt-get") return;
  const browser = existsSync(join(ROOT, "test", "live", "view.test.ts")) ? { chromium: "chromium" } : {};
  await installPrograms({ ...TEST_TOOLS, ...browser }, "the live tests need them");
}

function runChecks() {
  const npm = findNpm();
  return runToEnd(npm.command, [...npm.args, "run", "check"], REPORT === "" ? {} : { NO_COLOR: "1" });
}

/** @param {readonly string[]} args */
function runVitest(args) {
  const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
  const reporters = REPORT
    ? ["--no-color", "--reporter=default", "--reporter=json", `--outputFile.json=${REPORT}`]
    : [];
  return runToEnd(findNode(), [vitest, "run", ...reporters, ...args]);
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Record<string, string>} env what is different in its environment
 * @returns {Promise<number>} its exit code
 */
async function runToEnd(command, args, env = {}) {
  const end = await runChild(command, args, { cwd: ROOT, stdio: "inherit", env: { ...process.env, ...env } });
  if (end.error) throw end.error;
  if (end.caught) throw new Interrupted(end.caught);
  return end.code === null ? 1 : end.code;
}
