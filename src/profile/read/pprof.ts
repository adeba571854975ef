import { Profile, type Location } from "pprof-format";
import type { Unit } from "../model.ts";
import { addProfile, addSample, isWeight, type ProfileStore } from "../store/store.ts";
import { countIgnored, createReport, type Block, type BlockReader, type ReadReport } from "./report.ts";
import { KERNEL_FILE } from "./frame-text.ts";

/** pprof's units that are ours too; everything else is a plain number. */
const UNITS_OF: Record<string, Unit | undefined> = {
  nanoseconds: "nanoseconds",
  microseconds: "microseconds",
  milliseconds: "milliseconds",
  seconds: "seconds",
  bytes: "bytes",
};

const LABELS_NAMED = 5;

/** Reads pprof's protobuf (unpacked), one profile per sample type. The file is held in memory as a whole. */
export class PprofReader implements BlockReader {
  readonly lines = false;
  readonly report: ReadReport = createReport("pprof");
  readonly #store: ProfileStore;
  readonly #name: string;
  readonly #chunks: Buffer[] = [];

  constructor(store: ProfileStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  push({ bytes, start, end }: Block): void {
    this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
  }

  finish(): void {
    const profile = decodeProfile(Buffer.concat(this.#chunks));
    if (profile === null) {
      this.report.damaged += 1;
      return;
    }
    this.#take(profile);
  }

  #take(profile: Profile): void {
    const { strings } = profile.stringTable;
    const text = (index: number | bigint): string => strings[Number(index)] ?? "";
    const frames = this.#readLocations(profile, text);
    const isFirst = this.#store.profiles.length === 0;
    const targets = profile.sampleType.map((type, index) => {
      const name = text(type.type) || `${index + 1}`;
      const label = profile.sampleType.length > 1 ? `${this.#name} ${name}` : this.#name;
      return addProfile(this.#store, label, UNITS_OF[text(type.unit)] ?? "none");
    });
    if (isFirst) this.#store.active = findDefault(profile);
    const labels = new Set<string>();
    let labelled = 0;
    for (const sample of profile.sample) {
      for (const { key, str } of sample.label) {
        // Numbers are sizes of objects: Go's heap profiles have one with every sample.
        if (Number(str) === 0) continue;
        labelled += 1;
        if (labels.size < LABELS_NAMED) labels.add(text(key));
      }
      const path: number[] = [];
      // Leaf first in the file, and so are the inlined functions of one location.
      for (const id of sample.locationId) path.push(...(frames.get(Number(id)) ?? []));
      const stack = this.#store.stacks.intern(Int32Array.from(path.toReversed()), path.length);
      for (const [index, data] of targets.entries()) {
        const value = Number(sample.value[index] ?? 0);
        if (value === 0) continue;
        if (!isWeight(value)) countIgnored(this.report, "entries with a negative value");
        else {
          addSample(data, stack, value);
          this.report.samples += 1;
        }
      }
    }
    countIgnored(this.report, `labels (${[...labels].join(", ")})`, labelled);
  }

  /** Frame numbers of each location, leaf first. */
  #readLocations(profile: Profile, text: (index: number | bigint) => string): Map<number, number[]> {
    const functions = new Map(profile.function.map((item) => [Number(item.id), item]));
    const mappings = new Map(profile.mapping.map((item) => [Number(item.id), text(item.filename)]));
    return new Map(
      profile.location.map((location) => {
        const module = mappings.get(Number(location.mappingId)) ?? "";
        const frames = location.line.map((line) => {
          const item = functions.get(Number(line.functionId));
          const name = item === undefined ? "" : text(item.name);
          const source = item === undefined ? "" : text(item.filename);
          const file = module.startsWith("[kernel") ? KERNEL_FILE : source || module || undefined;
          const number = source === "" || Number(line.line) <= 0 ? undefined : Number(line.line);
          return this.#store.frames.internText(name || nameAddress(location), file, number);
        });
        const file = module === "" ? undefined : module;
        if (frames.length === 0) frames.push(this.#store.frames.internText(nameAddress(location), file));
        return [Number(location.id), frames];
      }),
    );
  }
}

/** Which of the profiles is the one to look at: what the file says, else the last one, as pprof does it. */
function findDefault({ sampleType, defaultSampleType }: Profile): number {
  const named = sampleType.findIndex(
    ({ type }) => Number(defaultSampleType) !== 0 && Number(type) === Number(defaultSampleType),
  );
  return named === -1 ? Math.max(0, sampleType.length - 1) : named;
}

function nameAddress(location: Location): string {
  return `0x${location.address.toString(16)}`;
}

/** null for bytes that are no profile: the library throws or makes nonsense of them. */
function decodeProfile(bytes: Buffer): Profile | null {
  try {
    const profile = Profile.decode(bytes);
    return profile.sampleType.length > 0 ? profile : null;
  } catch {
    return null;
  }
}
