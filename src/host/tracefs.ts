import { join } from "node:path";
import { readBtfEnums } from "./btf.ts";
import type { HostFacts } from "./facts.ts";
import { findField, parseFormat, type TracepointFormat } from "./format.ts";
import { exists, listNames, mapInBatches, readText } from "./read.ts";

/** The part of the host's facts that this file needs. */
export type TracefsPlace = Pick<HostFacts, "root" | "tracefs" | "btf">;

const NAME = /^[A-Za-z0-9_]+:[A-Za-z0-9_]+$/;

/**
 * Reasons that a subsystem adds to `enum skb_drop_reason` from 0x10000 on (include/net/dropreason.h) are in no format
 * file, but in the BTF of the kernel or of the module: `mac80211_drop_reason`, `ovs_drop_reason`, `qdisc_drop_reason` …
 */
const EXTENDED_ENUM = "skb_drop_reason";
const EXTENSION = /^(?!skb_).*_drop_reason$/;
const SUBSYSTEM_START = 0x1_0000;
/** Modules known to bring such an enum: reading the BTF of every module would cost half a second. */
const EXTENSION_MODULES: ReadonlySet<string> = new Set(["mac80211", "openvswitch"]);

/** Path of a tracepoint's format file, or null for a name that is none, or without tracefs. */
function formatPath(place: TracefsPlace, name: string): string | null {
  if (place.tracefs === null || !NAME.test(name)) return null;
  return join(place.root, place.tracefs, "events", name.replace(":", "/"), "format");
}

/** Whether the running kernel has the tracepoint, such as `skb:kfree_skb`. */
export async function hasTracepoint(place: TracefsPlace, name: string): Promise<boolean> {
  const path = formatPath(place, name);
  return path !== null && (await exists(path));
}

/**
 * Fields and symbol tables of a tracepoint such as `skb:kfree_skb` on the running kernel; null when it has none of that
 * name. Names of enum values that the format file leaves out come from BTF, where the kernel has it.
 */
export async function readTracepoint(place: TracefsPlace, name: string): Promise<TracepointFormat | null> {
  const path = formatPath(place, name);
  const text = path === null ? null : await readText(path);
  if (text === null) return null;
  const format = parseFormat(text);
  const field = format.fields.find((candidate) => candidate.type === `enum ${EXTENDED_ENUM}`);
  if (field === undefined) return format;
  const extra = await readSubsystemNames(place);
  if (extra.size === 0) return format;
  const names = new Map([...(format.symbols[field.name] ?? []), ...extra]);
  return { ...format, symbols: { ...format.symbols, [field.name]: names } };
}

/** Names of values from 0x10000 on, as the kernel and its loaded modules declare them. */
async function readSubsystemNames(place: TracefsPlace): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  if (place.btf === null) return names;
  const folder = join(place.root, place.btf, "..");
  const modules = (await listNames(folder)).filter((file) => EXTENSION_MODULES.has(file));
  const enums = await readBtfEnums(folder, ["vmlinux", ...modules], (name) => EXTENSION.test(name));
  for (const table of enums.values()) {
    for (const [value, name] of table) {
      // `__OVS_DROP_REASON` and `OVS_DROP_MAX` mark the start and the end of the range.
      if (value < SUBSYSTEM_START || name.startsWith("__") || name.endsWith("_MAX")) continue;
      names.set(value, name);
    }
  }
  return names;
}

/** All tracepoints of the running kernel as `category:event`, sorted; none without tracefs. */
export async function listTracepoints(place: TracefsPlace): Promise<string[]> {
  if (place.tracefs === null) return [];
  const folder = join(place.root, place.tracefs);
  const listed = await readText(join(folder, "available_events"));
  if (listed !== null)
    return listed
      .split("\n")
      .filter((line) => NAME.test(line))
      .toSorted();
  const categories = await listNames(join(folder, "events"));
  const names = await mapInBatches(categories, 16, async (category) => {
    const events = await listNames(join(folder, "events", category));
    return events.map((event) => `${category}:${event}`).filter((name) => NAME.test(name));
  });
  const present = await mapInBatches(names.flat(), 64, async (name) =>
    (await hasTracepoint(place, name)) ? [name] : [],
  );
  return present.flat().toSorted();
}

/** Whether the tracepoint has the field: probes choose their program by this, never by the kernel's version. */
export function hasField(format: TracepointFormat | null, field: string): boolean {
  return findField(format, field) !== null;
}
