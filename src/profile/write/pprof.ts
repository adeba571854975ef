import { promisify } from "node:util";
import { gzip } from "node:zlib";
import {
  Profile,
  StringTable,
  type FunctionInput,
  type LocationInput,
  type MappingInput,
} from "pprof-format";
import { KERNEL_FILE } from "../read/frame-text.ts";
import type { Unit } from "../model.ts";
import { buildTree, type StackTree } from "../store/tree.ts";
import type { ProfileData, ProfileStore } from "../store/store.ts";

/** pprof's name for what is measured, and in what. */
const TYPES: Record<Unit, { readonly type: string; readonly unit: string }> = {
  none: { type: "samples", unit: "count" },
  nanoseconds: { type: "time", unit: "nanoseconds" },
  microseconds: { type: "time", unit: "microseconds" },
  milliseconds: { type: "time", unit: "milliseconds" },
  seconds: { type: "time", unit: "seconds" },
  bytes: { type: "space", unit: "bytes" },
};
/** Nanoseconds in one of each unit of time. */
const NANOSECONDS: Partial<Record<Unit, number>> = { microseconds: 1e3, milliseconds: 1e6, seconds: 1e9 };

/**
 * Encodes one profile as gzip'd pprof. Its values are whole numbers: times with fractions are written in nanoseconds.
 */
export async function encodePprof(store: ProfileStore, data: ProfileData): Promise<Uint8Array> {
  const tree = buildTree(store, data);
  const { unit, factor } = pickScale(data.unit, tree.weights);
  const stringTable = new StringTable();
  const { type, unit: unitName } = TYPES[unit];
  const sampleType = [{ type: stringTable.dedup(type), unit: stringTable.dedup(unitName) }];
  const profile = new Profile({
    stringTable,
    sampleType,
    periodType: sampleType[0] ?? {},
    ...listSymbols(store, stringTable),
    sample: listSamples(tree, factor),
    comment: [stringTable.dedup(data.name)],
  });
  return promisify(gzip)(profile.encode());
}

function pickScale(unit: Unit, weights: Float64Array): { unit: Unit; factor: number } {
  const factor = NANOSECONDS[unit];
  if (factor === undefined || weights.every((weight) => Number.isInteger(weight))) return { unit, factor: 1 };
  return { unit: "nanoseconds", factor };
}

function listSamples(tree: StackTree, factor: number): { locationId: number[]; value: number[] }[] {
  const ids = tree.table.ids.data;
  return Array.from(tree.list, (stack, entry) => {
    const start = tree.table.start(stack);
    const locationId: number[] = [];
    // Leaf first; ids begin at 1.
    for (let place = start + tree.table.depth(stack) - 1; place >= start; place--) {
      locationId.push((ids[place] ?? 0) + 1);
    }
    return { locationId, value: [Math.round((tree.weights[entry] ?? 0) * factor)] };
  });
}

/** One function and one location per frame, one mapping per module. */
function listSymbols(
  store: ProfileStore,
  strings: StringTable,
): { function: FunctionInput[]; location: LocationInput[]; mapping: MappingInput[] } {
  const mappings = new Map<string, number>();
  const functions: FunctionInput[] = [];
  const location: LocationInput[] = [];
  const mapping: MappingInput[] = [];
  for (const [index, frame] of store.frames.list.entries()) {
    const id = index + 1;
    const module = frame.line === undefined ? (frame.file ?? null) : null;
    if (module !== null && !mappings.has(module)) {
      mappings.set(module, mappings.size + 1);
      const filename = strings.dedup(module === KERNEL_FILE ? "[kernel.kallsyms]" : module);
      // hasFunctions: the names are here, there is no binary to look for.
      mapping.push({ id: mappings.size, filename, hasFunctions: true });
    }
    const name = strings.dedup(frame.name);
    const filename = frame.line === undefined ? 0 : strings.dedup(frame.file ?? "");
    functions.push({ id, name, systemName: name, filename });
    location.push({
      id,
      mappingId: module === null ? 0 : (mappings.get(module) ?? 0),
      line: [{ functionId: id, line: frame.line ?? 0 }],
    });
  }
  return { function: functions, location, mapping };
}
