import type { Readable } from "node:stream";
import type { Finding } from "../diagnose/finding.ts";
import type { FilterName, FilterValues } from "./filters.ts";
import type { ProgramVariables } from "./render.ts";
import type { Block, LiveView } from "./report.ts";
import type { HostFacts } from "../host/facts.ts";
import type { TracepointFormat } from "../host/format.ts";
import type { NetnsInfo } from "../host/namespaces.ts";
import type { Profile } from "../profile/model.ts";
import type { Message } from "../wire/message.ts";

/** Anything that survives JSON: what records, tables and facts are made of. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** An option that only this probe has. Its parsed value is found in `options[name]`. */
export interface OptionSpec {
  /** camelCase name of the value, as commander derives it from `flags`. */
  readonly name: string;
  /** As commander writes it: `--hz <n>`. */
  readonly flags: string;
  readonly description: string;
  /** Text → value; throws TraceError (usage) with what would be valid. Absent for flags without a value. */
  readonly parse?: (text: string) => Json;
  readonly default?: Json;
}

/** An entry of `trace explain`. Commands may hold the placeholders of src/catalogue/types.ts. */
export interface Topic {
  readonly name: string;
  /** `drop reason`, `counter`, … */
  readonly kind: string;
  readonly text: string;
  readonly causes?: readonly string[];
  readonly check: readonly string[];
  readonly fix: readonly string[];
  /** Other topics. */
  readonly related?: readonly string[];
}

/** What the probe hangs on. The first alternative whose needs this host meets is taken. */
export interface AttachAlternative {
  /** `tracepoint:skb:kfree_skb`, `kprobe:oom_kill_process`, `profile`. All must exist. */
  readonly points: readonly string[];
  /** What this alternative cannot know, for `doctor` and the `degraded` notice; absent for the best one. */
  readonly lacks?: string;
}

export type Options = FilterValues & { readonly all?: boolean; readonly events?: boolean } & {
  readonly [own: string]: unknown;
};

/** What a probe may ask of this machine before the program is written. Never used in a replay. */
export interface PrepareContext {
  readonly host: HostFacts;
  readonly options: Options;
  /** Index in `attach` of the alternative taken. */
  readonly alternative: number;
  /** Null where this kernel has no such tracepoint. */
  tracepoint(name: string): Promise<TracepointFormat | null>;
  /** A namespace by name, inode or pid; null when there is none. */
  findNetns(text: string): Promise<NetnsInfo | null>;
  /** All namespaces there are now. */
  listNetns(): Promise<readonly NetnsInfo[]>;
  /** Whether a device of that name is in this namespace (null: in any), and which are; null where that cannot be told. */
  findDevice(
    name: string,
    netns: NetnsInfo | null,
  ): Promise<{ readonly isThere: boolean; readonly names: readonly string[] } | null>;
}

export interface Prepared {
  /** Values for the `.bt` template. */
  readonly variables: ProgramVariables;
  /** What the reading side has to know and a replay cannot ask for: reason names, field layout … Kept in recordings. */
  readonly tables: JsonObject;
  /** What is lost on this host, one sentence each: a `degraded` notice each. */
  readonly degraded?: readonly string[];
}

/** Who, where, when: line one of every recording and the `session` record. */
export interface SessionInfo {
  readonly command: string;
  readonly argv: readonly string[];
  readonly host: string;
  /** Kernel release. */
  readonly kernel: string;
  /** bpftrace version, or null where none ran. */
  readonly bpftrace: string | null;
  /** Wall clock of the start, ISO 8601 UTC. */
  readonly start: string;
  readonly capabilities: JsonObject;
  readonly options: JsonObject;
  readonly tables: JsonObject;
  readonly degraded: readonly string[];
}

/** A question to the machine that came up during the run; its answer arrives as a fact. */
export interface Ask {
  readonly fact: string;
  readonly key: string;
}

export interface Fact extends Ask {
  readonly value: Json;
}

export type NoticeLevel = "info" | "warning" | "error";

export interface RunContext {
  readonly session: SessionInfo;
  readonly options: Options;
  /** Writes one NDJSON event record; `type` and `time` come first. `at`: seconds since the start of the session. */
  emit(type: string, at: number, fields: JsonObject): void;
  /** A line for people, when it happens (text format only). May hold hostile data. */
  print(line: string): void;
  notice(level: NoticeLevel, code: string, message: string, count?: number): void;
  /** Ask once per key: the answer comes to `fact()`, in a replay from the recording. */
  ask(ask: Ask): void;
}

/**
 * A log that is read along with the events, as facts of this name: key `past` once, before anything is attached (string[]: what was there
 * already), then `lines` (string[]) as they come, `quiet` (null) after a pause, `lost` (count of overwritten records), `error` (why it
 * cannot be read). `kernel-log`: raw records of /dev/kmsg, never cleared.
 */
export interface Follow {
  readonly fact: "kernel-log";
  /** Which of the records that were there before are kept; none without it. */
  readonly past?: RegExp;
}

/** What a probe's `source` may use of this machine. */
export interface SourceContext {
  readonly stdin: Readable;
  /** The standard output of a tool as it comes. Throws TraceError when it is missing or fails. */
  run(command: string, args: readonly string[]): AsyncIterable<Uint8Array>;
}

export interface EndInfo {
  /** Seconds between `ready` and the end. */
  readonly seconds: number;
  /** Events that bpftrace or the kernel could not deliver. */
  readonly lost: number;
  /** Where the profile will be, or null for none. */
  readonly profile: string | null;
}

export interface ProbeResult {
  /** Fields of the `summary` record between `seconds` and `profile`. */
  readonly summary: JsonObject;
  readonly findings: readonly Finding[];
  readonly report: readonly Block[];
  readonly profiles: readonly Profile[];
}

/** The reading side of one run: messages and facts in, records and a result out. Pure; no clock, no files. */
export interface ProbeRun {
  message(message: Message, at: number): void;
  fact?(fact: Fact, at: number): void;
  /** Fields of the next `interval` record: what changed since the last call. Null for none. */
  interval(seconds: number): JsonObject | null;
  live(): LiveView;
  finish(end: EndInfo): ProbeResult;
}

export interface ProbeDefinition {
  readonly name: string;
  /** One line, for `trace list` and `--help`. */
  readonly summary: string;
  /** A paragraph or two for `trace NAME --help`. */
  readonly description: string;
  /** Shared filters that make sense here; every other one is refused with exit 2. */
  readonly filters: readonly FilterName[];
  readonly options?: readonly OptionSpec[];
  readonly attach: readonly AttachAlternative[];
  /** The program was given on the command line: a mistake in its text is wrong usage, not a host that cannot run it. */
  readonly isGiven?: boolean;
  /** Needs kernel types (BTF) to be useful at all. */
  readonly needsBtf?: boolean;
  /** Whether `--events` means something here. */
  readonly hasEvents?: boolean;
  /** What it prints while it runs has to stay on a terminal: the live page stands below it, not on a screen of its own. */
  readonly keepsLines?: boolean;
  /** Kinds of evidence to take at `ready` and at the end (src/evidence); they arrive as facts `evidence:before|after`. */
  readonly evidence?: readonly string[];
  /** Most keys a map may hold (BPFTRACE_MAX_MAP_KEYS); default 4096. */
  readonly mapKeys?: number;
  /** The `.bt` template beside probe.ts; default `<name>.bt`. */
  readonly program?: string;
  /** Its part of the catalogue, for `trace explain`. */
  readonly topics?: () => readonly Topic[];
  /** Logs that are read while the program runs. */
  readonly follows?: readonly Follow[];
  /**
   * What these options make the run read in place of the kernel's events: batches of facts until the end. Null: trace live. Such a
   * run needs neither bpftrace nor root. Throws TraceError, at the first step, for what cannot be opened.
   */
  source?(options: Options, context: SourceContext): AsyncIterable<readonly Fact[]> | null;
  prepare(context: PrepareContext): Promise<Prepared> | Prepared;
  run(context: RunContext): ProbeRun;
}

/** Identity function that gives a probe folder its types. */
export function defineProbe(definition: ProbeDefinition): ProbeDefinition {
  return definition;
}
