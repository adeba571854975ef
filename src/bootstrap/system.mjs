import { spawnSync } from "node:child_process";
import { runChild } from "./child.mjs";
import { withSetupLock } from "./lock.mjs";
import { TRACEFS, hasProgram } from "./look.mjs";
import { printableLines, say } from "./notice.mjs";
import { Interrupted } from "./stop.mjs";

/** How long to wait for another package manager, and for this one: a mirror that hangs must not hang trace. */
const LOCKED_SECONDS = 180;
const INSTALL_SECONDS = 900;
const LOOK_AGAIN_MS = 2000;

/** What package managers say when another one is at work. */
const LOCKED =
  /could not get lock|unable to (?:acquire|lock)|transaction lock|(?:is|are) (?:locked|held) by|zypp is locked|waiting for .*lock/i;

/**
 * @typedef {{ name: string, install: string[], refresh: string[] }} Manager refresh: how to renew its list of packages
 * @type {readonly Manager[]}
 */
const MANAGERS = [
  { name: "apt-get", install: ["install", "-y", "-q", "--no-install-recommends"], refresh: ["update", "-q"] },
  { name: "dnf", install: ["install", "-y", "-q"], refresh: ["makecache", "-q"] },
  { name: "yum", install: ["install", "-y", "-q"], refresh: ["makecache", "-q"] },
  {
    name: "zypper",
    install: ["--non-interactive", "--quiet", "install", "--no-recommends"],
    refresh: ["--non-interactive", "--quiet", "refresh"],
  },
  { name: "pacman", install: ["-S", "--noconfirm", "--needed"], refresh: ["-Sy", "--noconfirm"] },
  { name: "apk", install: ["add", "--no-progress"], refresh: ["update", "--no-progress"] },
];

/** @returns {Manager | null} this distribution's package manager */
export function findManager() {
  return MANAGERS.find((manager) => hasProgram(manager.name)) || null;
}

/**
 * Installs what is missing. What cannot be installed is said and left: trace itself tells what that means.
 * @param {Readonly<Record<string, string>>} packages program → the package that has it
 * @param {string} otherwise what to do instead, the end of a sentence
 * @throws {Interrupted} after a signal
 */
export async function installPrograms(packages, otherwise) {
  const missing = () => Object.entries(packages).filter(([program]) => !hasProgram(program));
  const manager = findManager();
  if (missing().length === 0 || manager === null) return;
  await withSetupLock(async () => {
    const names = missing().map(([, name]) => name);
    if (names.length > 0) await install(manager, names, otherwise);
  });
}

/** Mounts tracefs. Says something only when that fails. */
export function mountTracefs() {
  const args = ["-t", "tracefs", "-o", "nosuid,nodev,noexec", "tracefs", TRACEFS];
  const { error, status, stderr } = spawnSync("mount", args, { encoding: "utf8" });
  if (status === 0) return;
  const [why = "no reason given"] = error ? [error.message] : printableLines(stderr);
  say(`could not mount tracefs (${why}); to try again: mount ${args.join(" ")}`);
}

/**
 * @param {Manager} manager
 * @param {readonly string[]} names
 * @param {string} otherwise
 */
async function install(manager, names, otherwise) {
  say(`installing ${names.join(", ")} with ${manager.name}, once (TRACE_NO_INSTALL=1 prevents it)`);
  const command = [...manager.install, ...names];
  let end = await runManager(manager.name, command);
  if (end.code !== 0) {
    // A list of packages that is old, or not there yet, is the usual cause: it is renewed only then. When that fails
    // for one source, another may still have the package.
    await runManager(manager.name, manager.refresh);
    end = await runManager(manager.name, command);
  }
  if (end.code === 0) return;
  const how = end.error ? end.error.message : end.signal || `exit ${end.code}`;
  say(`${manager.name} could not install ${names.join(", ")} (${how}):`);
  for (const line of printableLines(end.output).slice(-4)) say(`  ${line}`);
  say(`try it by hand: ${manager.name} ${command.join(" ")}; ${otherwise}`);
}

/**
 * Runs the package manager out of sight, and again for a while when another one has the lock.
 * @param {string} name
 * @param {readonly string[]} args
 * @throws {Interrupted} after a signal, when the package manager has come to its end
 */
async function runManager(name, args) {
  const until = Date.now() + LOCKED_SECONDS * 1000;
  for (let told = false; ; told = true) {
    const end = await runChild(
      name,
      args,
      {
        // A session of its own: Ctrl-C in the terminal must not stop dpkg half-way. apt-get gets SIGINT from here
        // and stops where it can.
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        timeout: INSTALL_SECONDS * 1000,
        env: { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_SUSPEND: "1" },
      },
      "SIGINT",
    );
    if (end.caught) throw new Interrupted(end.caught);
    if (end.code === 0 || Date.now() > until || !LOCKED.test(end.output)) return end;
    if (!told) say(`another package manager is at work; waiting for it, ${LOCKED_SECONDS} seconds at most`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}
