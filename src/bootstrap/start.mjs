// `npm start -- ARGS`: sets up what ARGS needs, then is `trace ARGS`. Runs on Node 12.22.

import { join } from "node:path";
import { mayInstall, namesBpftrace, needsKernel } from "./decide.mjs";
import {
  ROOT,
  findNode,
  findStale,
  hasProgram,
  hasTracefs,
  isLinuxRoot,
  listProbes,
  noNode,
} from "./look.mjs";
import { dieOf, endWithParent } from "./signals.mjs";
import { runMain } from "./stop.mjs";

const NEED = { dev: false };

runMain(async () => {
  const args = process.argv.slice(2);
  if (findStale(NEED) !== null) {
    const { installDependencies } = await import("./dependencies.mjs");
    await installDependencies(NEED);
  }
  if (isLinuxRoot() && needsKernel(args, listProbes())) await prepareKernel(args);

  const node = findNode();
  if (node === process.execPath) await import("./run.mjs");
  else await runElsewhere(node, [join(ROOT, "src", "bootstrap", "run.mjs"), ...args]);
});

/** @param {readonly string[]} args */
async function prepareKernel(args) {
  const wanted = mayInstall(process.env) && !namesBpftrace(args, process.env);
  const install = wanted && !hasProgram("bpftrace");
  if (hasTracefs() && !install) return;
  const { installPrograms, mountTracefs } = await import("./system.mjs");
  if (!hasTracefs()) mountTracefs();
  if (install) await installPrograms({ bpftrace: "bpftrace" }, "or name one with --bpftrace PATH");
}

/**
 * Ends as that process ends: with its exit code, or of its signal.
 * @param {string} command
 * @param {readonly string[]} args
 */
async function runElsewhere(command, args) {
  const { runChild } = await import("./child.mjs");
  if (process.env.npm_lifecycle_event === "start") endWithParent();
  const end = await runChild(command, args, { stdio: "inherit" });
  if (end.error) throw noNode();
  if (end.signal) dieOf(end.signal);
  else process.exitCode = end.code === null ? 1 : end.code;
}
