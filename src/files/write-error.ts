import { dirname } from "node:path";
import { EXIT, TraceError } from "../error.ts";
import { quoteShell } from "../text/escape.ts";

/** The `code` of a Node system error (`"ENOSPC"`, …), or null for anything else. */
export function readErrorCode(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

/**
 * Turns a failed write, create or rename of `path` into an error with its cause and a way out. `option` is what
 * names another file on the command line.
 */
export function explainWriteError(error: unknown, path: string, option = "-o"): unknown {
  if (error instanceof TraceError) return error;
  const code = readErrorCode(error);
  if (code === null) return error;
  const known = KNOWN[code];
  const { why, hint } = known === undefined ? { why: code, hint: null } : known(path, option);
  return new TraceError(EXIT.failed, `cannot write ${path}`, { why, hint, cause: error });
}

type Explain = (path: string, option: string) => { why: string; hint: string | null };

const KNOWN: Record<string, Explain | undefined> = {
  ENOSPC: (path, option) => ({
    why: "no space left on the device",
    hint: `df -h ${quoteShell(dirname(path))}   # then choose a folder with room: ${option} /other/folder/FILE`,
  }),
  EDQUOT: (_path, option) => ({
    why: "the disk quota is used up",
    hint: `choose another folder with ${option}`,
  }),
  EACCES: (path, option) => ({
    why: `no permission to write in ${dirname(path)}`,
    hint: `choose another folder with ${option}`,
  }),
  EPERM: (path, option) => ({
    why: `writing in ${dirname(path)} is not permitted`,
    hint: `choose another folder with ${option}`,
  }),
  EROFS: (_path, option) => ({
    why: "the file system is read-only",
    hint: `choose another folder with ${option}, for example /tmp`,
  }),
  EISDIR: (path, option) => ({
    why: "it is a folder",
    hint: `name a file in it: ${option} ${quoteShell(`${path}/NAME`)}`,
  }),
  ENOENT: (path) => ({
    why: `the folder ${dirname(path)} does not exist`,
    hint: `mkdir -p ${quoteShell(dirname(path))}`,
  }),
  ENOTDIR: (path, option) => ({
    why: `${dirname(path)} is not a folder`,
    hint: `choose another folder with ${option}`,
  }),
  ENAMETOOLONG: (_path, option) => ({
    why: "the name is too long",
    hint: `choose a shorter name with ${option}`,
  }),
  EFBIG: () => ({ why: "the file would be larger than allowed here", hint: "ulimit -f   # shows the limit" }),
  EIO: (_path, option) => ({
    why: "the device reports an input/output error",
    hint: `choose a file on another disk with ${option}`,
  }),
  EPIPE: () => ({ why: "the reader went away", hint: null }),
};
