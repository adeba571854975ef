import type { Frame } from "../model.ts";
import { createStore } from "../store/store.ts";
import { forEachBlock, type BlockUser } from "./blocks.ts";
import { BpftraceTextReader } from "./bpftrace-text.ts";
import type { MapPart, Votes } from "./bpftrace-record.ts";
import type { ReadReport } from "./report.ts";
import { openRange } from "./source.ts";

/** Which bytes of a file to read. Both ends are where an entry begins or the file ends. */
export interface PartRequest {
  readonly path: string;
  readonly start: number;
  readonly end: number;
  /** What the file's head showed, so that both parts judge alike. */
  readonly votes: Votes;
}

/** What a part of a bpftrace map text holds, in a form that goes from thread to thread without a copy. */
export interface Part {
  readonly frames: readonly Frame[];
  /** Frame numbers of all stacks, and where each begins (one more at the end), as a stack table has them. */
  readonly ids: Int32Array<ArrayBuffer>;
  readonly starts: Int32Array<ArrayBuffer>;
  readonly maps: readonly MapPart[];
  readonly report: ReadReport;
}

/** Reads one part. Throws TraceError if the file cannot be read. */
export async function readPart(request: PartRequest): Promise<Part> {
  const store = createStore("");
  const reader = new BpftraceTextReader(store, "", request.votes);
  const source = await openRange(request.path, request.start, request.end);
  const user: BlockUser = { lines: true, push: (block) => reader.push(block) };
  try {
    await forEachBlock(source, () => user);
  } finally {
    await source.close();
  }
  return {
    frames: store.frames.list,
    ids: store.stacks.ids.data.slice(0, store.stacks.ids.length),
    starts: store.stacks.starts.data.slice(0, store.stacks.starts.length),
    maps: reader.endPart(),
    report: reader.report,
  };
}

/** The memory of a part that may move to another thread. */
export function listTransfers(part: Part): ArrayBuffer[] {
  const samples = part.maps.flatMap(({ stacks, weights }) => [stacks.buffer, weights.buffer]);
  return [part.ids.buffer, part.starts.buffer, ...samples];
}
