import { createAtomicWriter } from "../files/atomic.ts";
import { ByteText } from "../files/byte-text.ts";
import { FOLDED_FRAME, type Frame, type Profile, type Pruned } from "./model.ts";
import { planStore, visitPlan, type ProfilePlan } from "./store/plan.ts";
import { collectProfiles, type ProfileStore } from "./store/store.ts";
import { FloatList, IntList } from "./store/lists.ts";

/** Starts the `exporter` field of every file we write: this is how we know a file is ours to replace. */
const EXPORTER = "trace-ebpf";

const SCHEMA = "https://www.speedscope.app/file-format-schema.json";
const OPEN = 91;
const CLOSE = 93;
const COMMA = 44;

export interface SpeedscopeOptions {
  /** Must start with "trace-ebpf". */
  readonly exporter?: string;
  /** Most tree nodes over all profiles; 0 for no limit. Default 1,000,000 (about 6 s and 0.7 GB in a browser). */
  readonly nodeBudget?: number;
  /** Replace an existing file even if it is not ours. */
  readonly force?: boolean;
}

export interface SpeedscopeDocument extends SpeedscopeOptions {
  readonly name: string;
  readonly profiles: readonly Profile[];
  /** Which profile the viewer shows first. */
  readonly activeProfileIndex?: number;
}

export interface WrittenProfiles {
  /** `total` in the profile's unit: the sum of the weights that were handed in; `samples`: how many those were. */
  readonly profiles: readonly { readonly name: string; readonly total: number; readonly samples: number }[];
  /** What was folded away to keep the file viewable, null if nothing was. */
  readonly pruned: Pruned | null;
  readonly bytes: number;
}

/** Whether the first bytes of a file say that it is a speedscope file by us. */
export function isOwnSpeedscope(head: Buffer): boolean {
  return head.toString("latin1").startsWith(`{"$schema":"${SCHEMA}","exporter":"${EXPORTER}`);
}

/**
 * Writes `document` as a speedscope file, under a temporary name until it is whole. Throws TraceError when the file
 * cannot be written, RangeError when a sample is impossible (weight < 0 or not finite).
 */
export async function writeSpeedscope(path: string, document: SpeedscopeDocument): Promise<WrittenProfiles> {
  const store = collectProfiles(document.name, document.profiles);
  store.active = document.activeProfileIndex ?? 0;
  return writeSpeedscopeStore(path, store, document);
}

/** The same for profiles that are already in a store. */
export function writeSpeedscopeStore(
  path: string,
  store: ProfileStore,
  options: SpeedscopeOptions = {},
): WrittenProfiles {
  const out = createAtomicWriter(path, { force: options.force ?? false, isOurs: isOwnSpeedscope });
  try {
    const pruned = printSpeedscope(store, options, (chunk) => {
      out.write(chunk);
    });
    out.commit();
    const profiles = store.profiles.map((data) => ({
      name: data.name,
      total: data.total,
      samples: data.stacks.length,
    }));
    return { profiles, pruned, bytes: out.bytes };
  } finally {
    out.abort();
  }
}

/** Hands the file to `write` in pieces. */
export function printSpeedscope(
  store: ProfileStore,
  options: SpeedscopeOptions,
  write: (chunk: Uint8Array) => void,
): Pruned | null {
  const exporter = options.exporter ?? EXPORTER;
  if (!exporter.startsWith(EXPORTER)) throw new RangeError(`exporter must start with ${EXPORTER}`);
  const plan = planStore(store, options.nodeBudget);
  const text = new ByteText(write);
  const frames = createFrameNumbers(store);
  text.text(`{"$schema":"${SCHEMA}","exporter":${JSON.stringify(exporter)},`);
  text.text(`"name":${JSON.stringify(store.name)},"activeProfileIndex":${pickActive(store)},`);
  text.text('"profiles":[');
  for (const [index, profile] of plan.profiles.entries()) {
    if (index > 0) text.byte(COMMA);
    printProfile(text, profile, frames);
  }
  text.text('],"shared":{"frames":[');
  for (const [index, frame] of frames.list.entries()) {
    text.text((index > 0 ? "," : "") + JSON.stringify(frame));
  }
  text.text("]}}\n");
  text.flush();
  return plan.pruned;
}

/** An index that is no profile makes speedscope throw. */
function pickActive(store: ProfileStore): number {
  return store.active >= 0 && store.active < store.profiles.length ? store.active : 0;
}

function printProfile(text: ByteText, plan: ProfilePlan, frames: FrameNumbers): void {
  const { data, tree } = plan;
  const ids = tree.table.ids.data;
  const weights = new FloatList(data.stacks.length + 1);
  let total = 0;
  text.text(`{"type":"sampled","name":${JSON.stringify(data.name)},"unit":"${data.unit}","samples":[`);
  visitPlan(plan, (stack, length, folded, weight) => {
    if (weights.length > 0) text.byte(COMMA);
    text.byte(OPEN);
    const start = tree.table.start(stack);
    for (let place = start; place < start + length; place++) {
      if (place > start) text.byte(COMMA);
      text.number(frames.number(ids[place] ?? 0));
    }
    if (folded) {
      if (length > 0) text.byte(COMMA);
      text.number(frames.folded());
    }
    text.byte(CLOSE);
    weights.push(weight);
    total += weight;
  });
  text.text('],"weights":[');
  for (let index = 0; index < weights.length; index++) {
    if (index > 0) text.byte(COMMA);
    text.number(weights.at(index));
  }
  text.text(`],"startValue":0,"endValue":${total}}`);
  // Summing in another order may round differently, nothing else may differ.
  if (Math.abs(total - data.total) > 1e-9 * data.total) {
    throw new Error(`profile ${data.name}: wrote a total of ${total} instead of ${data.total}`);
  }
}

interface FrameNumbers {
  readonly list: readonly Frame[];
  number(this: void, frame: number): number;
  folded(this: void): number;
}

/** Numbers frames in the order of their first use: what was pruned away leaves no trace in the file. */
function createFrameNumbers(store: ProfileStore): FrameNumbers {
  const list: Frame[] = [];
  const numbers = new IntList(store.frames.list.length + 1);
  let folded = -1;
  return {
    list,
    number(frame) {
      const known = numbers.data[frame] ?? 0;
      if (known > 0) return known - 1;
      list.push(store.frames.at(frame));
      numbers.data[frame] = list.length;
      return list.length - 1;
    },
    folded() {
      if (folded < 0) folded = list.push(FOLDED_FRAME) - 1;
      return folded;
    },
  };
}
