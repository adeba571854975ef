import type { TrafficAction, TrafficFilter } from "../types.ts";
import { flattenTexts } from "./flatten.ts";
import { parseToolJson } from "./json.ts";
import {
  asList,
  asNumber,
  asRecord,
  asRecords,
  asString,
  asText,
  type JsonRecord,
  type Parsed,
} from "./values.ts";

/** Longer matches are cut: they are for a human to recognise the filter. */
const MAX_TEXT = 400;

/**
 * `tc -j -s filter show dev DEV ingress|egress`, or without direction for the classes of a qdisc. Filters come with
 * headers (an item without options, u32 hash tables) that match nothing: they are left out.
 */
export function parseFilters(
  text: string,
  place: { readonly dev: string; readonly direction: TrafficFilter["direction"] },
): Parsed<TrafficFilter[]> {
  const items = parseToolJson(text.trim() === "" ? "[]" : text);
  if (!Array.isArray(items)) return { value: [], unread: 1 };
  const filters: TrafficFilter[] = [];
  let unread = 0;
  for (const item of asList(items)) {
    const record = asRecord(item);
    const kind = asString(record?.["kind"]);
    if (record === null || kind === null) unread += 1;
    else {
      const options = asRecord(record["options"]);
      if (options === null || "ht_divisor" in options) continue;
      filters.push(parseFilter(record, options, kind, place));
    }
  }
  return { value: filters, unread };
}

function parseFilter(
  item: JsonRecord,
  options: JsonRecord,
  kind: string,
  place: { readonly dev: string; readonly direction: TrafficFilter["direction"] },
): TrafficFilter {
  const { actions: _, ...match } = options;
  const program = asRecord(options["prog"]);
  return {
    ...place,
    kind,
    protocol: asString(item["protocol"]),
    pref: asNumber(item["pref"]),
    chain: asNumber(item["chain"]),
    handle: asText(options["handle"]) ?? asText(options["fh"]) ?? asText(item["handle"]),
    text: tellMatch(match).slice(0, MAX_TEXT),
    actions: parseActions(item, options),
    bpf:
      kind !== "bpf"
        ? null
        : {
            id: asNumber(program?.["id"]),
            name: asString(program?.["name"]) ?? asString(options["bpf_name"]),
            direct: options["direct-action"] === true,
          },
  };
}

/** Said in fields of their own, or of no help to recognise the filter. */
const NO_MATCH = /^(?:handle|fh|(?:not_)?in_hw|prog\..*|bpf_name|bytecode\..*)$/;

/** `ip_proto udp dst_port 5000`, `direct-action bytecode 1,6 0 0 2`: about the words that tc itself takes. */
function tellMatch(match: JsonRecord): string {
  const words = Object.entries(flattenTexts(match)).flatMap(([name, value]) =>
    NO_MATCH.test(name) || value === "" || value === "false"
      ? []
      : [`${name.replace(/^keys\./, "")}${value === "true" ? "" : ` ${value}`}`],
  );
  const code = asRecords(asRecord(match["bytecode"])?.["insns"]).map((step) =>
    ["code", "jt", "jf", "k"].map((key) => asText(step[key]) ?? "?").join(" "),
  );
  if (code.length > 0) words.push(`bytecode ${[code.length, ...code].join(",")}`);
  return words.join(" ");
}

function parseActions(item: JsonRecord, options: JsonRecord): TrafficAction[] {
  const actions = asRecords(options["actions"]).map((action) =>
    parseAction(action, asRecord(action["stats"]) ?? {}),
  );
  // `police` of the old syntax: the action is among the options, its counts beside them.
  const inline = asString(options["kind"]) === null ? [] : [parseAction(options, item)];
  return [...actions, ...inline];
}

function parseAction(action: JsonRecord, stats: JsonRecord): TrafficAction {
  const chance = asRecord(action["prob"]);
  const every = asNumber(chance?.["val"]);
  const control = controlOf(chance);
  const random = asString(chance?.["random_type"]) ?? "none";
  return {
    kind: asString(action["kind"]) ?? "unknown",
    control: controlOf(action),
    chance: random === "none" || control === null || every === null ? null : { control, every },
    index: asNumber(action["index"]),
    packets: asNumber(stats["packets"]),
    drops: asNumber(stats["drops"]) ?? asNumber(stats["dropped"]),
    overlimits: asNumber(stats["overlimits"]),
  };
}

function controlOf(action: JsonRecord | null): string | null {
  return asString(asRecord(action?.["control_action"])?.["type"]) ?? asString(action?.["control_action"]);
}
