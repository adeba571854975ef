import type { Profile, Unit } from "../model.ts";
import { FrameTable } from "./frame-table.ts";
import { FloatList, IntList } from "./lists.ts";
import { StackTable } from "./stack-table.ts";

/** One profile as numbers: sample `i` is stack `stacks.at(i)` with weight `weights.at(i)`. */
export interface ProfileData {
  name: string;
  unit: Unit;
  order: "time" | "none";
  readonly stacks: IntList;
  readonly weights: FloatList;
  /** Sum of the weights. */
  total: number;
}

/** Profiles that share their frames and stacks: what readers fill and writers draw from. */
export interface ProfileStore {
  name: string;
  readonly frames: FrameTable;
  readonly stacks: StackTable;
  readonly profiles: ProfileData[];
  /** Which of `profiles` is shown first. */
  active: number;
}

export function createStore(name: string): ProfileStore {
  return { name, frames: new FrameTable(), stacks: new StackTable(), profiles: [], active: 0 };
}

export function addProfile(
  store: ProfileStore,
  name: string,
  unit: Unit = "none",
  order: "time" | "none" = "none",
): ProfileData {
  const data = { name, unit, order, stacks: new IntList(64), weights: new FloatList(64), total: 0 };
  store.profiles.push(data);
  return data;
}

export function addSample(data: ProfileData, stack: number, weight: number): void {
  data.stacks.push(stack);
  data.weights.push(weight);
  data.total += weight;
}

/** A weight that speedscope can draw: negative ones throw in its importer, NaN and Infinity are no JSON. */
export function isWeight(weight: number): boolean {
  return weight >= 0 && weight < Infinity;
}

/**
 * Reads `profiles` to their end into one store. Throws RangeError for an impossible weight: that is a bug of the
 * caller, readers of foreign files count such samples instead.
 */
export function collectProfiles(name: string, profiles: readonly Profile[]): ProfileStore {
  const store = createStore(name);
  let path = new Int32Array(256);
  for (const profile of profiles) {
    const data = addProfile(store, profile.name, profile.unit, profile.order ?? "time");
    for (const { stack, weight } of profile.samples) {
      if (!isWeight(weight)) throw new RangeError(`profile ${profile.name}: impossible weight ${weight}`);
      if (stack.length > path.length) path = new Int32Array(stack.length * 2);
      for (const [depth, frame] of stack.entries()) path[depth] = store.frames.intern(frame);
      addSample(data, store.stacks.intern(path, stack.length), weight);
    }
  }
  return store;
}
