import { open, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { EXIT, TraceError } from "../../error.ts";
import type { ProfileStore } from "../store/store.ts";
import { createStore } from "../store/store.ts";
import { forEachBlock } from "./blocks.ts";
import { BpftraceTextReader } from "./bpftrace-text.ts";
import type { Votes } from "./bpftrace-record.ts";
import { detectFormat } from "./detect.ts";
import type { Part, PartRequest } from "./part.ts";
import type { ReadReport } from "./report.ts";
import { openRange } from "./source.ts";

/** Below this a second thread takes longer to start than it saves. */
const MIN_BYTES = 64 << 20;
const HEAD_BYTES = 1 << 20;
/** How far from the middle the end of an entry is looked for: entries are a few kilobytes long. */
const SEARCH_BYTES = 4 << 20;
/** The end of an entry and the begin of the next. */
const BETWEEN = /\]: -?\d+\r?\n(?=@\w*\[)/;

export interface PartPlan {
  readonly path: string;
  readonly size: number;
  /** Where the second part begins. */
  readonly middle: number;
  readonly votes: Votes;
}

/**
 * Whether the file at `path` is worth two threads: a large bpftrace map text, not packed. null if not, or if it cannot be read (whoever
 * reads it next says why).
 */
export async function planParts(
  path: string,
  minBytes = MIN_BYTES,
  threads = availableParallelism(),
): Promise<PartPlan | null> {
  if (threads < 2) return null;
  const file = await stat(path).catch(() => null);
  if (file === null || !file.isFile() || file.size < minBytes) return null;
  const head = await readBytes(path, 0, HEAD_BYTES);
  const detected = detectFormat(head);
  if (!("format" in detected) || detected.format !== "bpftrace") return null;
  const half = Math.floor(file.size / 2);
  const text = (await readBytes(path, half, SEARCH_BYTES)).toString("latin1");
  const found = BETWEEN.exec(text);
  if (found === null) return null;
  return {
    path,
    size: file.size,
    middle: half + found.index + found[0].length,
    votes: await learnVotes(path),
  };
}

/** Reads both parts at the same time and puts them together in `store`. Throws TraceError if the file cannot be read. */
export async function readInParts(
  store: ProfileStore,
  name: string,
  plan: PartPlan,
  signal?: AbortSignal,
): Promise<ReadReport> {
  const { path, size, middle, votes } = plan;
  const reader = new BpftraceTextReader(store, name, votes);
  const other = startPart({ path, start: middle, end: size, votes });
  // It may fail before anybody waits for it.
  other.part.catch(() => {});
  try {
    const source = await openRange(path, 0, middle);
    try {
      await forEachBlock(source, () => ({
        lines: true,
        push(block) {
          signal?.throwIfAborted();
          reader.push(block);
        },
      }));
    } finally {
      await source.close();
    }
    reader.endPart();
    reader.absorb(await untilAborted(other.part, signal));
  } finally {
    await other.stop();
  }
  reader.finish();
  return reader.report;
}

function startPart(request: PartRequest): { part: Promise<Part>; stop: () => Promise<unknown> } {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const worker = new Worker(new URL(`part-worker.${extension}`, import.meta.url), { workerData: request });
  const part = new Promise<Part>((resolve, reject) => {
    worker.once("message", (message: Part) => resolve(message));
    worker.once("error", (cause: Error) => {
      // Errors lose their class on the way from thread to thread.
      reject(new TraceError(EXIT.failed, `cannot read ${request.path}`, { why: cause.message, cause }));
    });
    worker.once("exit", (code) => reject(new Error(`the reading thread ended with ${code}`)));
  });
  return { part, stop: () => worker.terminate() };
}

function untilAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(toError(signal.reason));
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** Which stacks are the kernel's, by the file's first megabyte. */
async function learnVotes(path: string): Promise<Votes> {
  const scout = new BpftraceTextReader(createStore(""), "");
  const source = await openRange(path, 0, HEAD_BYTES);
  try {
    await forEachBlock(source, () => scout);
  } finally {
    await source.close();
  }
  return scout.votes();
}

async function readBytes(path: string, start: number, length: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await file.read(bytes, 0, length, start);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
