import type { ProfileStore } from "../store/store.ts";
import { ByteInterner } from "./byte-interner.ts";
import { countNote } from "./bpftrace-notes.ts";
import { KeyParser } from "./bpftrace-key.ts";
import { RecordBuilder, type Votes } from "./bpftrace-record.ts";
import { JsonScanner, type JsonHandler } from "./json-scanner.ts";
import { decodeJsonString } from "./json-string.ts";
import {
  countIgnored,
  countMissing,
  createReport,
  type Block,
  type BlockReader,
  type ReadReport,
} from "./report.ts";

/** How deep the parts of `{"type": "map", "data": {"@": {KEY: VALUE}}}` are. */
const RECORD = 1;
const DATA = 2;
const MAP = 3;
const VALUE = 4;

/**
 * Reads the maps of `bpftrace -f json`. Other records (printf, lost events, …) and histograms are counted and left out.
 */
export class BpftraceJsonReader implements BlockReader, JsonHandler {
  readonly lines = false;
  readonly report: ReadReport = createReport("bpftrace-json");
  readonly #scanner = new JsonScanner(this, true);
  readonly #lines = new ByteInterner();
  readonly #record: RecordBuilder;
  readonly #keys: KeyParser;
  #depth = 0;
  #type = "";
  /** The last key at the depth of the record, of the data, and of a value that is an object. */
  #field = "";
  #mapName = "";
  #part = "";
  /** The entry whose key was read and whose value is to come. */
  #pending = false;
  #total: number | null = null;

  constructor(store: ProfileStore, name: string, votes: Votes = new Map(), twice: boolean | null = null) {
    this.#record = new RecordBuilder(store, name, this.report, votes, this.#lines);
    this.#keys = new KeyParser(this.#lines, this.#record);
    this.#keys.twice = twice;
  }

  /** Whether the keys of this file are escaped twice; null if none told. */
  get twice(): boolean | null {
    return this.#keys.twice;
  }

  votes(): Votes {
    return this.#record.votes();
  }

  push({ bytes, start, end }: Block): void {
    this.#scanner.push(bytes, start, end);
  }

  finish(): void {
    this.#scanner.finish();
    this.#record.close();
  }

  begin(_object: boolean): void {
    this.#depth += 1;
    if (this.#depth === RECORD) this.#type = "";
    if (this.#depth === VALUE) this.#total = null;
  }

  end(): void {
    if (this.#depth === VALUE && this.#pending) this.#endValue();
    if (this.#depth === RECORD && !MAP_TYPES.has(this.#type) && !TOLD_TYPES.has(this.#type)) {
      countIgnored(this.report, "records that are no map");
    }
    this.#depth -= 1;
  }

  key(bytes: Uint8Array, start: number, end: number): void {
    if (this.#depth === RECORD) this.#field = decodeJsonString(bytes, start, end);
    else if (!MAP_TYPES.has(this.#type) || this.#field !== "data") return;
    else if (this.#depth === DATA) this.#mapName = decodeJsonString(bytes, start, end);
    else if (this.#depth === VALUE) this.#part = decodeJsonString(bytes, start, end);
    else if (this.#depth === MAP) {
      this.#record.begin(this.#mapName);
      this.#keys.parse(bytes, start, end);
      this.#pending = true;
    }
  }

  string(bytes: Uint8Array, start: number, end: number): void {
    if (this.#depth !== RECORD) return this.#useOther();
    if (this.#field === "type") this.#type = decodeJsonString(bytes, start, end);
    else if (this.#field === "helper" && this.#type === "helper_error") {
      const failed = decodeJsonString(bytes, start, end);
      // 0.27 gives another message for it: the helper is what both name.
      if (failed === "map_update_elem") countNote("Map full; can't update element", this.report);
      else countIgnored(this.report, "records that are no map");
    }
  }

  number(value: number): void {
    if (this.#depth === VALUE && this.#part === "total") this.#total = value;
    else if (this.#depth === MAP && this.#pending) this.#endNumber(value);
    else if (this.#depth === DATA && MAP_TYPES.has(this.#type))
      countIgnored(this.report, "values without a key");
    else if (this.#depth === DATA && this.#type === "lost_events") {
      countMissing(this.report, "events that bpftrace lost", value);
    }
  }

  literal(): void {
    this.#useOther();
  }

  otherLine(bytes: Buffer, start: number, end: number): void {
    if (!countNote(bytes.toString("latin1", start, Math.min(end, start + 300)), this.report)) {
      countIgnored(this.report, "other lines");
    }
  }

  broken(): void {
    this.report.damaged += 1;
    this.#depth = 0;
    this.#pending = false;
  }

  #endNumber(value: number): void {
    this.#pending = false;
    if (this.#type === "stats") countIgnored(this.report, "averages, which do not add up");
    else if (this.#type === "hist") countIgnored(this.report, "histograms");
    else this.#record.finish(value);
  }

  #endValue(): void {
    this.#pending = false;
    if (this.#type === "stats" && this.#total !== null) this.#record.finish(this.#total);
    else if (this.#type === "hist") countIgnored(this.report, "histograms");
    else countIgnored(this.report, "entries whose value is no number");
  }

  #useOther(): void {
    if (this.#depth !== MAP || !this.#pending) return;
    this.#pending = false;
    countIgnored(this.report, "entries whose value is no number");
  }
}

const MAP_TYPES: ReadonlySet<string> = new Set(["map", "stats", "hist"]);
/** Records that say nothing about stacks, or whose content is counted by itself. */
const TOLD_TYPES: ReadonlySet<string> = new Set(["attached_probes", "lost_events", "helper_error"]);
