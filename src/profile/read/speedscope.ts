import { UNITS, type Unit } from "../model.ts";
import { addProfile, addSample, isWeight, type ProfileData, type ProfileStore } from "../store/store.ts";
import { FloatList, IntList } from "../store/lists.ts";
import { StackTable } from "../store/stack-table.ts";
import { JsonScanner, type JsonHandler } from "./json-scanner.ts";
import { decodeJsonString } from "./json-string.ts";
import { growPath } from "./folded.ts";
import { countIgnored, createReport, type Block, type BlockReader, type ReadReport } from "./report.ts";

/** A profile as it stands in the file: its frames are indices into `shared.frames`, which may come later. */
interface RawProfile {
  name: string | null;
  unit: Unit;
  type: string;
  /** Numbers of `#stacks`, one per sample. */
  readonly samples: IntList;
  readonly weights: FloatList;
  /** Evented: the frame opened, or −1 − the frame closed; and when. */
  readonly events: IntList;
  readonly times: FloatList;
  /** Of an evented one: where its time begins and ends. NaN where it does not say. */
  from: number;
  to: number;
}

interface RawFrame {
  name: string | null;
  file: string | undefined;
  line: number | undefined;
}

/**
 * Reads speedscope's own format, sampled and evented profiles, in any order of its keys and of any size. What speedscope
 * would throw on (indices out of range, negative weights, unbalanced events) is counted as damaged.
 */
export class SpeedscopeReader implements BlockReader, JsonHandler {
  readonly lines = false;
  readonly report: ReadReport = createReport("speedscope");
  readonly #scanner = new JsonScanner(this, false);
  readonly #store: ProfileStore;
  readonly #name: string;
  readonly #stacks = new StackTable();
  readonly #profiles: RawProfile[] = [];
  readonly #frames: RawFrame[] = [];
  /** The last key at each depth. */
  readonly #keys: string[] = [];
  #depth = 0;
  /** What a bare number means here: nearly all of a file is numbers. */
  #numbers: "frames" | "weights" | "other" = "other";
  #active = 0;
  #path = new Int32Array(512);
  #length = 0;
  #event: { open: boolean | null; at: number | null; frame: number | null } = {
    open: null,
    at: null,
    frame: null,
  };

  constructor(store: ProfileStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  push({ bytes, start, end }: Block): void {
    this.#scanner.push(bytes, start, end);
  }

  finish(): void {
    this.#scanner.finish();
    const numbers = this.#frames.map((frame) =>
      this.#store.frames.internText(frame.name ?? "[no name]", frame.file, frame.line),
    );
    const first = this.#store.profiles.length;
    for (const [index, raw] of this.#profiles.entries()) {
      const data = addProfile(this.#store, raw.name ?? `${this.#name} ${index + 1}`, raw.unit, "time");
      if (raw.type === "evented") this.#playEvents(raw, data, numbers);
      else this.#takeSamples(raw, data, numbers);
    }
    if (first === 0 && this.#active < this.#store.profiles.length) this.#store.active = this.#active;
  }

  begin(object: boolean): void {
    this.#depth += 1;
    this.#keys[this.#depth] = "";
    const inProfiles = this.#keys[1] === "profiles";
    if (inProfiles && this.#depth === 3 && object) this.#profiles.push(createRawProfile());
    else if (inProfiles && this.#depth === 4) {
      this.#numbers = this.#keys[3] === "weights" ? "weights" : "other";
    } else if (inProfiles && this.#depth === 5) {
      this.#numbers = this.#keys[3] === "samples" ? "frames" : "other";
      this.#length = 0;
      this.#event = { open: null, at: null, frame: null };
    } else if (this.#keys[1] === "shared" && this.#keys[2] === "frames" && this.#depth === 4 && object) {
      this.#frames.push({ name: null, file: undefined, line: undefined });
    }
  }

  end(): void {
    const profile = this.#profiles.at(-1);
    if (this.#depth === 5 && profile !== undefined && this.#keys[1] === "profiles") {
      if (this.#keys[3] === "samples") {
        profile.samples.push(this.#stacks.intern(this.#path, this.#length));
      } else if (this.#keys[3] === "events") this.#addEvent(profile);
    }
    this.#numbers = "other";
    this.#depth -= 1;
  }

  key(bytes: Uint8Array, start: number, end: number): void {
    this.#keys[this.#depth] = decodeJsonString(bytes, start, end);
  }

  string(bytes: Uint8Array, start: number, end: number): void {
    const text = decodeJsonString(bytes, start, end);
    const key = this.#keys[this.#depth];
    const profile = this.#profiles.at(-1);
    if (this.#keys[1] === "profiles" && profile !== undefined) {
      if (this.#depth === 3 && key === "name") profile.name = text;
      else if (this.#depth === 3 && key === "type") profile.type = text;
      else if (this.#depth === 3 && key === "unit")
        profile.unit = UNITS.find((unit) => unit === text) ?? "none";
      else if (this.#depth === 5 && key === "type")
        this.#event.open = text === "O" ? true : text === "C" ? false : null;
    } else if (this.#keys[1] === "shared" && this.#depth === 4) {
      const frame = this.#frames.at(-1);
      if (frame === undefined) return;
      if (key === "name") frame.name = text;
      else if (key === "file") frame.file = text;
    } else if (this.#depth === 1 && key === "name" && this.#store.profiles.length === 0)
      this.#store.name = text;
  }

  number(value: number): void {
    if (this.#numbers === "frames") return this.#addFrame(value);
    const profile = this.#profiles.at(-1);
    if (this.#numbers === "weights") {
      profile?.weights.push(value);
    } else if (this.#keys[1] === "profiles" && profile !== undefined) {
      if (this.#depth === 5 && this.#keys[5] === "at") this.#event.at = value;
      else if (this.#depth === 5 && this.#keys[5] === "frame") this.#event.frame = value;
      else if (this.#depth === 3 && this.#keys[3] === "startValue") profile.from = value;
      else if (this.#depth === 3 && this.#keys[3] === "endValue") profile.to = value;
    } else if (this.#keys[1] === "shared" && this.#depth === 4 && this.#keys[4] === "line") {
      const frame = this.#frames.at(-1);
      if (frame !== undefined) frame.line = value;
    } else if (this.#depth === 1 && this.#keys[1] === "activeProfileIndex") this.#active = value;
  }

  literal(): void {}

  broken(): void {
    this.report.damaged += 1;
  }

  #addFrame(index: number): void {
    if (this.#length === this.#path.length) this.#path = growPath(this.#path);
    // What is no index is out of every range.
    this.#path[this.#length++] =
      Number.isInteger(index) && index >= 0 && index < 2 ** 31 ? index : 2 ** 31 - 1;
  }

  #addEvent(profile: RawProfile): void {
    const { open, at, frame } = this.#event;
    if (open === null || at === null || frame === null || !Number.isInteger(frame) || frame < 0) {
      this.report.damaged += 1;
      return;
    }
    profile.events.push(open ? frame : -1 - frame);
    profile.times.push(at);
  }

  #takeSamples(raw: RawProfile, data: ProfileData, numbers: readonly number[]): void {
    const count = Math.min(raw.samples.length, raw.weights.length);
    this.report.damaged += Math.max(raw.samples.length, raw.weights.length) - count;
    for (let index = 0; index < count; index++) {
      const stack = raw.samples.at(index);
      const start = this.#stacks.start(stack);
      const ids = this.#stacks.ids.data.subarray(start, start + this.#stacks.depth(stack));
      this.#add(data, ids, ids.length, raw.weights.at(index), numbers);
    }
  }

  /** Between two events the open frames are the stack, and the time between them its weight; before the first and after the last, too. */
  #playEvents(raw: RawProfile, data: ProfileData, numbers: readonly number[]): void {
    const open = new IntList(256);
    let last = raw.from < raw.times.at(0) ? raw.from : raw.times.at(0);
    for (let index = 0; index < raw.events.length; index++) {
      const event = raw.events.at(index);
      const at = raw.times.at(index);
      if (at < last) this.report.damaged += 1;
      else if (at > last) this.#add(data, open.data, open.length, at - last, numbers);
      last = Math.max(last, at);
      if (event >= 0) open.push(event);
      else if (open.length > 0 && open.at(open.length - 1) === -1 - event) open.length -= 1;
      else this.report.damaged += 1;
    }
    if (raw.to > last) this.#add(data, open.data, open.length, raw.to - last, numbers);
    this.report.damaged += open.length;
  }

  #add(data: ProfileData, ids: Int32Array, length: number, weight: number, numbers: readonly number[]): void {
    if (weight < 0) return countIgnored(this.report, "entries with a negative value");
    while (length > this.#path.length) this.#path = growPath(this.#path);
    for (let place = 0; place < length; place++) {
      const number = numbers[ids[place] ?? 0];
      if (number === undefined || !isWeight(weight)) {
        this.report.damaged += 1;
        return;
      }
      this.#path[place] = number;
    }
    addSample(data, this.#store.stacks.intern(this.#path, length), weight);
    this.report.samples += 1;
  }
}

function createRawProfile(): RawProfile {
  return {
    name: null,
    unit: "none",
    type: "sampled",
    samples: new IntList(64),
    weights: new FloatList(64),
    events: new IntList(16),
    times: new FloatList(16),
    from: Number.NaN,
    to: Number.NaN,
  };
}
