import { basename } from "node:path";
import type { Readable } from "node:stream";
import { EXIT, TraceError } from "../../error.ts";
import type { ProfileStore } from "../store/store.ts";
import { forEachBlock, type BlockUser } from "./blocks.ts";
import { BpftraceJsonReader } from "./bpftrace-json.ts";
import { BpftraceTextReader } from "./bpftrace-text.ts";
import { detectFormat } from "./detect.ts";
import { FoldedReader } from "./folded.ts";
import { planParts, readInParts } from "./parts.ts";
import { PerfScriptReader } from "./perf-script.ts";
import { PprofReader } from "./pprof.ts";
import type { Block, BlockReader, InputFormat, ReadReport } from "./report.ts";
import { openSource, type ByteSource } from "./source.ts";
import { SpeedscopeReader } from "./speedscope.ts";
import { createStore } from "../store/store.ts";
import { formatCount } from "../../text/format.ts";

/** Enough to know a format by. */
const HEAD_BYTES = 1 << 18;

export interface ReadOptions {
  /** What `-` reads. Default: process.stdin. */
  readonly stdin?: Readable;
  /** Ends the reading with an error. */
  readonly signal?: AbortSignal;
  /** From which size on a file is read in two parts at the same time, for tests. */
  readonly partBytes?: number;
}

/**
 * Adds the profiles of the file at `path` (`-`: standard input), packed with gzip or not, to `store`. Throws TraceError if it cannot
 * be read or is no profile; damage inside of it is counted in the report.
 */
export async function readProfiles(
  store: ProfileStore,
  path: string,
  options: ReadOptions = {},
): Promise<ReadReport> {
  const plan = path === "-" ? null : await planParts(path, options.partBytes);
  if (plan === null) return readSource(store, path, await openSource(path, options.stdin), options);
  const report = await readInParts(store, basename(path), plan, options.signal);
  if (report.samples === 0) throw explainNothing(path, report);
  return report;
}

/** The same for a source that is open; it is closed in the end. `pieceBytes` is how much a reader sees at once. */
export async function readSource(
  store: ProfileStore,
  path: string,
  source: ByteSource,
  options: ReadOptions = {},
  pieceBytes?: number,
): Promise<ReadReport> {
  const name = path === "-" ? "standard input" : basename(path);
  let reader: BlockReader | null = null;
  try {
    const begin = (head: Block): BlockUser => {
      const made = createReader(store, path, name, head);
      reader = made;
      return {
        lines: made.lines,
        push(block) {
          options.signal?.throwIfAborted();
          made.push(block);
        },
      };
    };
    await forEachBlock(source, begin, pieceBytes);
  } finally {
    await source.close();
  }
  const { report, samples } = finishReader(reader);
  if (report === null || samples === 0) throw explainNothing(path, report, source.truncated);
  report.isCut = source.truncated;
  return report;
}

/** What the file at `path` is, null if it is nothing we know. Throws TraceError if it cannot be read. */
export async function identifyFile(path: string): Promise<InputFormat | null> {
  const source = await openSource(path);
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const size = await source.read(head, 0, HEAD_BYTES);
    const detected = detectFormat(head.subarray(0, size));
    return "format" in detected ? detected.format : null;
  } finally {
    await source.close();
  }
}

function finishReader(reader: BlockReader | null): { report: ReadReport | null; samples: number } {
  reader?.finish();
  return { report: reader?.report ?? null, samples: reader?.report.samples ?? 0 };
}

function createReader(store: ProfileStore, path: string, name: string, head: Block): BlockReader {
  const detected = detectFormat(head.bytes.subarray(head.start, head.end));
  if ("format" in detected) return READERS[detected.format](store, name, head);
  throw new TraceError(EXIT.failed, `cannot convert ${path}`, {
    why: detected.unreadable,
    hint: detected.hint,
  });
}

type Create = (store: ProfileStore, name: string, head: Block) => BlockReader;

const READERS: Record<InputFormat, Create> = {
  // The head is read twice: the first time only to learn which of the maps' stacks are the kernel's.
  bpftrace: (store, name, head) => {
    const scout = new BpftraceTextReader(createStore(""), "");
    scout.push(wholeLines(head));
    return new BpftraceTextReader(store, name, scout.votes());
  },
  "bpftrace-json": (store, name, head) => {
    const scout = new BpftraceJsonReader(createStore(""), "");
    scout.push(head);
    return new BpftraceJsonReader(store, name, scout.votes(), scout.twice);
  },
  folded: (store, name) => new FoldedReader(store, name),
  "perf-script": (store, name) => new PerfScriptReader(store, name),
  speedscope: (store, name) => new SpeedscopeReader(store, name),
  pprof: (store, name) => new PprofReader(store, name),
};

/** The head without its unfinished last line, whose newline would overwrite what follows. */
function wholeLines(head: Block): Block {
  const newline = head.bytes.lastIndexOf(10, head.end - 1);
  return { ...head, end: Math.max(head.start, newline + 1) };
}

function explainNothing(path: string, report: ReadReport | null, isCut = false): TraceError {
  if (report === null) {
    const why = isCut ? `it is gzip, and ${CUT}` : "it is empty";
    return new TraceError(EXIT.failed, `nothing to convert in ${path}`, { why });
  }
  const parts = [...report.ignored].map(([reason, count]) => countThings(count, reason));
  if (report.damaged > 0) parts.unshift(`${formatCount(report.damaged)} damaged`);
  return new TraceError(EXIT.failed, `no stacks in ${path}`, {
    why: `read as ${report.format}: ${parts.join(", ") || "no samples"}`,
    hint: report.format.startsWith("bpftrace")
      ? "a map needs a stack in its key: @[kstack, ustack, comm] = count()"
      : null,
  });
}

/** What is left out of every file of its kind, and nobody would look for in a profile. */
const EXPECTED: ReadonlySet<string> = new Set(["other lines", "comments", "values without a key"]);

const CUT = "ends too early or is damaged";

/** A line for the operator about what was not converted, null if everything was. */
export function describeReport(report: ReadReport): string | null {
  const parts: string[] = [];
  const unit = report.format === "speedscope" || report.format === "pprof" ? "entries" : "lines";
  if (report.damaged > 0) parts.push(`${countThings(report.damaged, unit, "damaged ")} not converted`);
  if (report.isCut) parts.push(`the gzip data ${CUT}: only what came before that is converted`);
  const ignored = [...report.ignored].filter(([reason]) => !EXPECTED.has(reason));
  if (ignored.length > 0) parts.push(`left out: ${listThings(ignored)}`);
  if (report.missing.size > 0) parts.push(`missing from the start: ${listThings([...report.missing])}`);
  return parts.length === 0 ? null : parts.join("; ");
}

function listThings(counts: readonly (readonly [string, number])[]): string {
  return counts.map(([things, count]) => countThings(count, things)).join(", ");
}

/** "1 entry of maps without stacks", "2 entries of …": the first word is the plural. */
function countThings(count: number, things: string, adjective = ""): string {
  const words =
    count === 1
      ? things.replace(
          /^(\w+?)(ie)?s\b/,
          (_, stem: string, y: string | undefined) => stem + (y === undefined ? "" : "y"),
        )
      : things;
  return `${formatCount(count)} ${adjective}${words}`;
}
