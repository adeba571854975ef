import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { Readable, Transform } from "node:stream";
import * as zlib from "node:zlib";
import { EXIT, TraceError } from "../../error.ts";
import { quoteShell } from "../../text/escape.ts";

/** Bytes of a log, already decompressed, and the date to count missing years back from. */
export interface OpenLog {
  bytes: AsyncIterable<Uint8Array>;
  /** The file's mtime; now for a pipe. */
  reference: Date;
}

const CHUNK = 256 * 1024;

type Packing = { kind: "plain" } | { kind: "gzip" | "zstd" } | { kind: "other"; name: string; tool: string };

function startsWith(head: Uint8Array, bytes: readonly number[]): boolean {
  return bytes.every((byte, index) => head[index] === byte);
}

/** How a file is packed, by its first bytes. */
export function detectPacking(head: Uint8Array): Packing {
  if (startsWith(head, [0x1f, 0x8b])) return { kind: "gzip" };
  if (startsWith(head, [0x28, 0xb5, 0x2f, 0xfd])) return { kind: "zstd" };
  if (startsWith(head, [0xfd, 0x37, 0x7a, 0x58, 0x5a])) return { kind: "other", name: "xz", tool: "xz -dc" };
  if (startsWith(head, [0x42, 0x5a, 0x68])) return { kind: "other", name: "bzip2", tool: "bzip2 -dc" };
  if (startsWith(head, [0x04, 0x22, 0x4d, 0x18])) return { kind: "other", name: "lz4", tool: "lz4 -dc" };
  // "LPKSHHRH": systemd's binary journal.
  if (startsWith(head, [0x4c, 0x50, 0x4b, 0x53, 0x48, 0x48, 0x52, 0x48])) {
    return { kind: "other", name: "a binary journal", tool: "journalctl -k -o json --file" };
  }
  return { kind: "plain" };
}

function createUnpacker(kind: "gzip" | "zstd", name: string): Transform {
  if (kind === "gzip") return zlib.createGunzip({ chunkSize: CHUNK });
  // Node has zstd from 22.15 on.
  const create: typeof zlib.createZstdDecompress | undefined = zlib.createZstdDecompress;
  if (typeof create !== "function") throw packedError(name, "zstd", "zstd -dc");
  return create({ chunkSize: CHUNK });
}

function packedError(name: string, packing: string, tool: string): TraceError {
  const what = name === "-" ? "standard input" : name;
  const hint =
    name === "-" ? `… | ${tool} | trace oom --log -` : `${tool} ${quoteShell(name)} | trace oom --log -`;
  return new TraceError(EXIT.usage, `cannot read the log ${what}`, {
    why: `it is ${packing}, unpack it first`,
    hint,
  });
}

function readError(name: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || !("code" in cause) || typeof cause.code !== "string") return cause;
  const why: Record<string, string> = {
    ENOENT: "there is no such file",
    EACCES: "permission denied",
    EPERM: "permission denied",
    EISDIR: "it is a directory",
  };
  return new TraceError(cause.code in why ? EXIT.usage : EXIT.failed, `cannot read the log ${name}`, {
    why: why[cause.code] ?? cause.message,
    hint: cause.code === "EACCES" || cause.code === "EPERM" ? "run it as root" : null,
    cause,
  });
}

/** The head of a stream without losing it. */
async function peek(
  source: AsyncIterable<Uint8Array>,
): Promise<{ head: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]();
  const seen: Uint8Array[] = [];
  let head: Uint8Array = new Uint8Array();
  while (head.length < 8) {
    const next = await iterator.next();
    if (next.done === true) break;
    seen.push(next.value);
    head = Buffer.concat([head, next.value]);
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      yield* seen;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
        yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { head, all: all() };
}

/** Reads and unpacks; a packed stream that ends early gives what came before, then calls `onCut`. */
async function* unpack(
  kind: "gzip" | "zstd",
  name: string,
  source: AsyncIterable<Uint8Array>,
  onCut: (why: string) => void,
): AsyncGenerator<Uint8Array> {
  const unpacker = createUnpacker(kind, name);
  let inputError: unknown = null;
  const pump = async (): Promise<void> => {
    try {
      for await (const chunk of source) {
        if (unpacker.destroyed) return;
        if (!unpacker.write(chunk)) await drained(unpacker);
      }
    } catch (error) {
      inputError = error;
    }
    unpacker.end();
  };
  const pumping = pump();
  try {
    for await (const chunk of unpacker) {
      if (chunk instanceof Uint8Array) yield chunk;
    }
  } catch (error) {
    onCut(error instanceof Error ? error.message : String(error));
  } finally {
    unpacker.destroy();
    await pumping;
  }
  if (inputError !== null) throw inputError;
}

function drained(stream: Transform): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.once("drain", done);
    stream.once("close", done);
  });
}

async function* guard(name: string, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    throw error instanceof TraceError ? error : readError(name, error);
  }
}

/**
 * Opens a log stream: `name` is only for messages, gzip and zstd are unpacked on the way.
 * Throws TraceError (usage) for a packing Node cannot undo.
 */
export async function openStream(
  name: string,
  source: AsyncIterable<Uint8Array>,
  onCut: (why: string) => void,
): Promise<AsyncIterable<Uint8Array>> {
  const { head, all } = await peek(guard(name, source));
  const packing = detectPacking(head);
  if (packing.kind === "plain") return all;
  if (packing.kind === "other") throw packedError(name, packing.name, packing.tool);
  return unpack(packing.kind, name, all, onCut);
}

/**
 * Opens a log file, or standard input for `-`. Throws TraceError: usage (2) where the path is wrong or unreadable,
 * failed (1) where reading breaks.
 */
export async function openLog(path: string, stdin: Readable, onCut: (why: string) => void): Promise<OpenLog> {
  if (path === "-") return { bytes: await openStream("-", stdin, onCut), reference: new Date() };
  try {
    const handle = await open(path, "r");
    await handle.close();
    const info = await stat(path);
    if (info.isDirectory()) throw Object.assign(new Error("EISDIR"), { code: "EISDIR" });
    // A character device (/dev/kmsg) or pipe has no useful mtime.
    const reference = info.isFile() ? info.mtime : new Date();
    return {
      bytes: await openStream(path, createReadStream(path, { highWaterMark: CHUNK }), onCut),
      reference,
    };
  } catch (error) {
    throw error instanceof TraceError ? error : readError(path, error);
  }
}
