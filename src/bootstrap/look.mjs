// What is there already. `npm start` comes through here every time: no effects, and no modules that cost time.

import { accessSync, constants, existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runsSources, whyStale } from "./decide.mjs";
import { SetupFailed } from "./stop.mjs";

/** The checkout that this file is part of. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The list that npm writes when an installation is complete. */
export const INSTALLED = join(ROOT, "node_modules", ".package-lock.json");

/** The Node that comes with the packages, on Linux. */
export const PACKAGED_NODE = join(ROOT, "node_modules", `node-linux-${process.arch}`, "bin", "node");

/** Where tracefs belongs. */
export const TRACEFS = "/sys/kernel/tracing";

/**
 * @param {{ dev: boolean }} need dev: also what only development needs
 * @returns {string | null} why node_modules has to be installed; null when it is as package-lock.json says
 */
export function findStale(need) {
  const wanted = readPackages(join(ROOT, "package-lock.json"));
  if (wanted === null) return null;
  const installed = readPackages(INSTALLED);
  const why = whyStale(wanted, installed, { dev: need.dev, os: process.platform, cpu: process.arch });
  if (why !== null || installed === null) return why;
  // An install or a clean-up that was interrupted leaves the list and takes the folders.
  const gone = findMissing(Object.keys(installed));
  return gone === undefined ? null : `${gone} is missing`;
}

/**
 * The Node that can run the TypeScript sources: this one, or the packaged one. A distribution's is often older.
 * @returns {string} its path; `process.execPath` for this one
 * @throws {SetupFailed} when there is none
 */
export function findNode() {
  if (runsSources(process.versions.node, process.features.typescript)) return process.execPath;
  if (existsSync(PACKAGED_NODE)) return PACKAGED_NODE;
  throw noNode();
}

/** What to say where no Node here can run the sources. */
export function noNode() {
  return new SetupFailed(
    `Node ${process.versions.node} is too old, and no packaged one runs on this ${process.platform} ${process.arch}`,
    "install Node 24 (nodejs.org), then try again",
  );
}

/** @returns {string[]} the names of the probe folders, which are commands of trace */
export function listProbes() {
  return readdirSync(join(ROOT, "probes"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^[_.]/.test(entry.name))
    .map((entry) => entry.name);
}

/** Whether this is a Linux that lets us change the system. */
export function isLinuxRoot() {
  return process.platform === "linux" && process.getuid !== undefined && process.getuid() === 0;
}

/** @param {string} name a program looked for on the PATH */
export function hasProgram(name) {
  return (process.env.PATH || "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Whether tracefs is mounted, at its own place or inside debugfs. */
export function hasTracefs() {
  return existsSync(join(TRACEFS, "events")) || existsSync("/sys/kernel/debug/tracing/events");
}

/**
 * @param {string} path a package-lock.json
 * @returns {Record<string, import("./decide.mjs").Package> | null} null when there is none to read
 */
function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages || null;
  } catch {
    return null;
  }
}

/**
 * The first of these paths that does not exist. Lists each folder once, which is quicker than a look at each path.
 * @param {readonly string[]} paths relative to the checkout
 */
function findMissing(paths) {
  /** @type {Map<string, Set<string>>} */
  const folders = new Map();
  return paths.find((path) => {
    const folder = dirname(path);
    const names = folders.get(folder) || listFolder(folder);
    folders.set(folder, names);
    return !names.has(basename(path));
  });
}

/** @param {string} folder relative to the checkout */
function listFolder(folder) {
  try {
    return new Set(readdirSync(join(ROOT, folder)));
  } catch {
    return new Set();
  }
}
