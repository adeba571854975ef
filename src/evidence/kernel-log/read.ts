import type { Readable } from "node:stream";
import { createLineDecoder } from "./decode.ts";
import { type KernelLine, type KernelLogCounts, zeroCounts } from "./line.ts";
import { openLog, openStream } from "./open.ts";
import { createLineSplitter } from "./split.ts";

export interface ReadLogOptions {
  /** Minutes east of UTC for prefixes without a zone; default: this machine's zone. */
  utcOffsetMinutes?: number;
  /** A moment not before the last line; default: the file's mtime, now for a pipe. */
  reference?: Date;
  /** Where `-` reads from; default process.stdin. */
  stdin?: Readable;
  /** Told once when a packed file ends early or is damaged; what came before was still read. */
  onCut?: (why: string) => void;
  /** Counters to add to; read them at the end. */
  counts?: KernelLogCounts;
}

/**
 * Kernel records of a byte stream, in batches (one per chunk read: a generator step per line would cost more than the
 * parsing). Memory is bounded: one chunk, one line, one record.
 */
export async function* decodeKernelLog(
  bytes: AsyncIterable<Uint8Array>,
  options: ReadLogOptions & { reference: Date },
): AsyncGenerator<KernelLine[]> {
  const counts = options.counts ?? zeroCounts();
  const decoder = createLineDecoder(
    { reference: options.reference, utcOffsetMinutes: options.utcOffsetMinutes },
    counts,
  );
  const splitter = createLineSplitter();
  let batch: KernelLine[] = [];
  const onLine = (line: string, cut: boolean): void => {
    if (cut) counts.truncated += 1;
    decoder.push(line, batch, cut);
  };
  for await (const chunk of bytes) {
    splitter.push(chunk, onLine);
    if (batch.length > 0) {
      yield batch;
      batch = [];
    }
  }
  splitter.end(onLine);
  decoder.end(batch);
  if (batch.length > 0) yield batch;
}

/**
 * Reads a saved kernel log: a file (plain, gzip or zstd) or `-` for standard input, in any of the formats of
 * `createLineDecoder`. Throws TraceError where it cannot be opened.
 */
export async function* readKernelLog(
  path: string,
  options: ReadLogOptions = {},
): AsyncGenerator<KernelLine[]> {
  const { bytes, reference } = await openLog(
    path,
    options.stdin ?? process.stdin,
    options.onCut ?? (() => {}),
  );
  yield* decodeKernelLog(bytes, { ...options, reference: options.reference ?? reference });
}

/** The same over a stream that is already open (the output of `dmesg` or `journalctl`); `name` is for messages. */
export async function* readKernelLogStream(
  name: string,
  source: AsyncIterable<Uint8Array>,
  options: ReadLogOptions = {},
): AsyncGenerator<KernelLine[]> {
  const bytes = await openStream(name, source, options.onCut ?? (() => {}));
  yield* decodeKernelLog(bytes, { ...options, reference: options.reference ?? new Date() });
}
