import { readSource } from "../../../src/profile/read/read.ts";
import type { ReadReport } from "../../../src/profile/read/report.ts";
import type { ByteSource } from "../../../src/profile/read/source.ts";
import { createStore, type ProfileData, type ProfileStore } from "../../../src/profile/store/store.ts";

export interface ReadResult {
  readonly store: ProfileStore;
  readonly report: ReadReport;
}

/** Reads `input` as a file of that content, `blockBytes` at a time. */
export async function readBytes(input: string | Uint8Array, blockBytes?: number): Promise<ReadResult> {
  const store = createStore("test");
  const report = await readSource(store, "input", createSource(Buffer.from(input)), {}, blockBytes);
  return { store, report };
}

function createSource(bytes: Buffer): ByteSource {
  let position = 0;
  return {
    truncated: false,
    read(buffer, offset, length) {
      const size = bytes.copy(buffer, offset, position, position + length);
      position += size;
      return Promise.resolve(size);
    },
    close: () => Promise.resolve(),
  };
}

/** A profile as `frame;frame[file];… → weight`, equal stacks summed up. */
export function listStacks(store: ProfileStore, data: ProfileData | undefined): Record<string, number> {
  const sums: Record<string, number> = {};
  for (let index = 0; index < (data?.stacks.length ?? 0); index++) {
    const key = nameStack(store, data?.stacks.at(index) ?? 0);
    sums[key] = (sums[key] ?? 0) + (data?.weights.at(index) ?? 0);
  }
  return sums;
}

export function nameStack(store: ProfileStore, stack: number): string {
  const start = store.stacks.start(stack);
  return Array.from({ length: store.stacks.depth(stack) }, (_, depth) => {
    const { name, file } = store.frames.at(store.stacks.ids.at(start + depth));
    return file === undefined ? name : `${name}[${file}]`;
  }).join(";");
}

/** The first profile of a small text. */
export async function readStacks(
  input: string | Uint8Array,
  blockBytes?: number,
): Promise<Record<string, number>> {
  const { store } = await readBytes(input, blockBytes);
  return listStacks(store, store.profiles[0]);
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
