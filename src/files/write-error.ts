import { dirname } from "node:path";
import { EXIT, TraceError } from "../error.ts";
import { quoteShell } from "../text/escape.ts";

/** The `code` of a Node system error (`"ENOSPC"`, …), or null for anything else. */
export function readErrorCode(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

/** Turns a failed write, create or rename of `path` into an error with its cause and a way out. */
export function explainWriteError(error: unknown, path: string): unknown {
  if (error instanceof TraceError) return error;
  const code = readErrorCode(error);
  if (code === null) return error;
  const known = KNOWN[code];
  const { why, hint } = known === undefined ? { why: code, hint: null } : known(path);
  return new TraceError(EXIT.failed, `cannot write ${path}`, { why, hint, cause: error });
}

const KNOWN: Record<string, ((path: string) => { why: string; hint: string | null }) | undefined> = {
  ENOSPC: (path) => ({
    why: "no space left on the device",
    hint: `df -h ${quoteShell(dirname(path))}   # then choose a folder with room: -o /other/folder/FILE`,
  }),
  EDQUOT: () => ({ why: "the disk quota is used up", hint: "choose another folder with -o" }),
  EACCES: (path) => ({
    why: `no permission to write in ${dirname(path)}`,
    hint: "choose another folder with -o",
  }),
  EPERM: (path) => ({
    why: `writing in ${dirname(path)} is not permitted`,
    hint: "choose another folder with -o",
  }),
  EROFS: () => ({
    why: "the file system is read-only",
    hint: "choose another folder with -o, for example /tmp",
  }),
  EISDIR: (path) => ({
    why: "it is a folder",
    hint: `name a file in it: -o ${quoteShell(`${path}/NAME`)}`,
  }),
  ENOENT: (path) => ({
    why: `the folder ${dirname(path)} does not exist`,
    hint: `mkdir -p ${quoteShell(dirname(path))}`,
  }),
  ENOTDIR: (path) => ({
    why: `${dirname(path)} is not a folder`,
    hint: "choose another folder with -o",
  }),
  ENAMETOOLONG: () => ({ why: "the name is too long", hint: "choose a shorter name with -o" }),
  EFBIG: () => ({ why: "the file would be larger than allowed here", hint: "ulimit -f   # shows the limit" }),
  EIO: () => ({
    why: "the device reports an input/output error",
    hint: "choose a file on another disk with -o",
  }),
  EPIPE: () => ({ why: "the reader went away", hint: null }),
};
