// `npm run build`: dist/ is the checkout without its development: compiled sources in the same folders, beside the
// data files they read. Paths relative to a source file are the same in both.

import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { ROOT } from "./look.mjs";

const DIST = join(ROOT, "dist");
const CLI = join(DIST, "src", "cli.js");

rmSync(DIST, { recursive: true, force: true });
const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
const compiled = spawnSync(
  process.execPath,
  [tsc, "-p", join(ROOT, "src", "bootstrap", "tsconfig.build.json")],
  {
    stdio: "inherit",
  },
);
if (compiled.status !== 0) process.exit(compiled.status === null ? 1 : compiled.status);

for (const folder of ["src", "probes"]) {
  cpSync(join(ROOT, folder), join(DIST, folder), { recursive: true, filter: isData });
}
const { name, version, type, description } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
writeFileSync(
  join(DIST, "package.json"),
  `${JSON.stringify({ name, version, type, description }, null, 2)}\n`,
);
if (existsSync(CLI)) chmodSync(CLI, 0o755);

/**
 * What the compiler does not put into dist/: everything but sources, tests, and this folder.
 * @param {string} path
 */
function isData(path) {
  if (statSync(path).isDirectory()) return basename(path) !== "bootstrap";
  return !/\.(?:ts|mts|mjs)$/.test(path);
}
