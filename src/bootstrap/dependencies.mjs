import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { runChild } from "./child.mjs";
import { withSetupLock } from "./lock.mjs";
import { INSTALLED, PACKAGED_NODE, ROOT, findStale } from "./look.mjs";
import { printableLines, say } from "./notice.mjs";
import { Interrupted, SetupFailed } from "./stop.mjs";

/**
 * Makes node_modules what package-lock.json says, with `npm ci`, unless another run has just done it.
 * @param {{ dev: boolean }} need dev: also what only development needs
 * @throws {Interrupted} after a signal; {SetupFailed} when npm could not do it
 */
export function installDependencies(need) {
  return withSetupLock(async () => {
    const why = findStale(need);
    if (why === null) return;
    say(`setting up once (npm ci): ${why}`);
    await runCleanInstall(need);
    linkPackagedNode();
  });
}

/**
 * The npm that runs us, or else the one on the PATH.
 * @returns {{ command: string, args: string[] }}
 */
export function findNpm() {
  const script = process.env.npm_execpath;
  if (!script || !/npm-cli\.c?js$/.test(script)) return { command: "npm", args: [] };
  return { command: process.env.npm_node_execpath || process.execPath, args: [script] };
}

/** @param {{ dev: boolean }} need */
async function runCleanInstall(need) {
  // Without this file, which npm writes last, an install that is interrupted at any moment is done again.
  if (fs.existsSync(INSTALLED)) fs.unlinkSync(INSTALLED);
  const npm = findNpm();
  const args = need.dev ? ["ci", "--include=dev"] : ["ci"];
  const [, major = "8"] = /^npm\/(\d+)/.exec(process.env.npm_config_user_agent || "") || [];
  if (Number(major) >= 7) return runNpm(npm, args);

  // npm 6 cannot read this lockfile. npm 8 can, and is the last one for Node 12.
  const folder = fs.mkdtempSync(join(tmpdir(), "trace-npm-"));
  try {
    await runNpm(npm, ["install", "--no-save", "--no-package-lock", "--prefix", folder, "npm@8"]);
    const script = join(folder, "node_modules", "npm", "bin", "npm-cli.js");
    return await runNpm({ command: process.execPath, args: [script] }, args);
  } finally {
    (fs.rmSync || fs.rmdirSync)(folder, { recursive: true });
  }
}

/**
 * @param {{ command: string, args: readonly string[] }} npm
 * @param {readonly string[]} words
 */
async function runNpm(npm, words) {
  const args = [...npm.args, ...words, "--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];
  const end = await runChild(npm.command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  if (end.caught) throw new Interrupted(end.caught);
  if (end.code === 0) return;

  const how = end.error ? end.error.message : end.signal || `exit ${end.code}`;
  // npm says the cause first, and then at length how it is called.
  const lines = printableLines(end.output.replace(/^npm (?:error|ERR!)/gm, "")).slice(0, 4);
  throw new SetupFailed(
    [`npm ${words[0]} failed (${how}):`, ...lines].join("\n  "),
    `is the npm registry reachable? To see more: cd ${ROOT} && npm ci`,
  );
}

/**
 * npm puts node_modules/.bin first on the PATH of its scripts, so the packaged Node belongs there. npm 8 leaves it
 * out, npm 7.5 may link another platform's; and where it does not start (it needs glibc 2.28), it must not be there.
 */
function linkPackagedNode() {
  if (!fs.existsSync(PACKAGED_NODE)) return;
  const bin = join(ROOT, "node_modules", ".bin");
  const link = join(bin, "node");
  const target = relative(bin, PACKAGED_NODE);
  const now = fs.readdirSync(bin).includes("node") ? fs.readlinkSync(link) : null;
  const tried = spawnSync(PACKAGED_NODE, ["--version"], { stdio: "ignore" });
  const wanted = !tried.error && tried.status === 0 ? target : null;
  if (now === wanted) return;
  if (now !== null) fs.unlinkSync(link);
  if (wanted !== null) fs.symlinkSync(wanted, link);
}
