import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ProbeDefinition } from "./define.ts";
import { EXIT, TraceError } from "../error.ts";

export interface ProbeFolder {
  readonly name: string;
  /** Absolute path of the folder. */
  readonly path: string;
}

/** The folder `probes/` of this installation (source tree or build: it sits beside `src/` in both). */
const PROBES = join(import.meta.dirname, "..", "..", "probes");

/** All probe folders, by name; those that start with `_` are templates to copy. */
export async function listProbes(root: string = PROBES): Promise<ProbeFolder[]> {
  const entries = await readdir(root, { withFileTypes: true });
  const hasProbe = (name: string) =>
    ["probe.ts", "probe.js"].some((file) => existsSync(join(root, name, file)));
  return entries
    .filter((entry) => entry.isDirectory() && /^[a-z][a-z0-9-]*$/.test(entry.name) && hasProbe(entry.name))
    .map((entry) => ({ name: entry.name, path: join(root, entry.name) }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** Loads `probe.ts` (or its compiled `probe.js`) of a folder. Throws TraceError when it does not export a probe. */
export async function loadProbe(folder: ProbeFolder): Promise<ProbeDefinition> {
  const extension = import.meta.filename.endsWith(".ts") ? "ts" : "js";
  const file = join(folder.path, `probe.${extension}`);
  const module = (await import(pathToFileURL(file).href)) as { default?: ProbeDefinition };
  const definition = module.default;
  if (definition === undefined || definition.name !== folder.name) {
    throw new TraceError(EXIT.failed, `${file} is not a probe`, {
      why: `its default export must be defineProbe({ name: "${folder.name}", … })`,
      hint: "see docs/writing-a-probe.md",
    });
  }
  return definition;
}

/** The `.bt` template of a probe. */
export async function readProgram(folder: ProbeFolder, definition: ProbeDefinition): Promise<string> {
  return readFile(join(folder.path, definition.program ?? `${folder.name}.bt`), "utf8");
}
