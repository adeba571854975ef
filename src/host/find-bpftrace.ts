import { delimiter, join } from "node:path";
import { isProgram } from "./read.ts";
import type { RunTool } from "./run-tool.ts";
import { parseVersion, type Version } from "./version.ts";

/** The bpftrace that will be used. */
export interface BpftraceTool {
  readonly path: string;
  /** As it names itself, such as `v0.17.0`; null when it did not say. */
  readonly version: string | null;
  readonly parsed: Version | null;
  /** Who chose it. */
  readonly source: "option" | "environment" | "path";
}

export interface BpftraceSearch {
  readonly tool: BpftraceTool | null;
  /** What is wrong, one line: the one asked for is not there, or tells no version. Null where none is installed at all. */
  readonly problem: string | null;
}

/** Folders outside an ordinary user's PATH where distributions and snaps put administrators' programs. */
const MORE_FOLDERS = [
  "/usr/local/sbin",
  "/usr/sbin",
  "/sbin",
  "/usr/local/bin",
  "/usr/bin",
  "/bin",
  "/snap/bin",
];
/** Seconds: `--version` answers in well under one, also where the binary comes from a slow disk. */
const VERSION_TIMEOUT = 20;

/** Full path of a program: on PATH, else in the administrators' folders; null when there is none. */
export async function findProgram(
  name: string,
  env: { readonly PATH?: string | undefined },
  root = "",
): Promise<string | null> {
  const folders = [
    ...(env.PATH ?? "").split(delimiter).filter((folder) => folder.startsWith("/")),
    ...MORE_FOLDERS,
  ];
  for (const folder of folders) {
    const path = join(root, folder, name);
    if (await isProgram(path)) return path;
  }
  return null;
}

/**
 * Finds bpftrace: the path asked for, else `TRACE_BPFTRACE`, else PATH and the administrators' folders. A path that was
 * asked for and does not exist is a problem, not a reason to look elsewhere.
 */
export async function findBpftrace(options: {
  readonly requested: string | null;
  readonly env: { readonly PATH?: string | undefined; readonly TRACE_BPFTRACE?: string | undefined };
  readonly root: string;
  readonly run: RunTool | null;
}): Promise<BpftraceSearch> {
  const { requested, env, root, run } = options;
  const source = requested !== null ? "option" : env.TRACE_BPFTRACE ? "environment" : "path";
  const asked = requested ?? (env.TRACE_BPFTRACE || null);
  // A bare name ("bpftrace-0.27") is looked up like the shell does.
  const name = asked ?? "bpftrace";
  const path = name.includes("/") ? name : await findProgram(name, env, root);
  if (path === null) return { tool: null, problem: asked === null ? null : `${name} was not found` };
  if (name.includes("/") && !(await isProgram(path))) {
    return { tool: null, problem: `${path} does not exist or cannot be executed` };
  }
  const unknown: BpftraceTool = { path, version: null, parsed: null, source };
  if (run === null) return { tool: unknown, problem: null };
  const result = await run(path, ["--version"], { timeout: VERSION_TIMEOUT });
  if (!result.ok) return { tool: unknown, problem: `${path} --version: ${result.message}` };
  const version = /\bbpftrace\s+(v?\d[\w.+~-]*)/.exec(result.stdout)?.[1] ?? null;
  const problem = version === null ? `${path} --version does not name a version` : null;
  return { tool: { ...unknown, version, parsed: version === null ? null : parseVersion(version) }, problem };
}
