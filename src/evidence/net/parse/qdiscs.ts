import type { Qdisc, TrafficFilter } from "../types.ts";
import { flattenNumbers, flattenTexts } from "./flatten.ts";
import { parseToolJson } from "./json.ts";
import { asNumber, asRecords, asString, toTable, type JsonRecord, type Parsed } from "./values.ts";

/** Keys that every kind has: the rest of the numbers is the kind's own. */
const COMMON = new Set(["refcnt", "bytes", "packets", "drops", "overlimits", "requeues", "backlog", "qlen"]);

/** `tc -j -s -d qdisc show`. Null where the text is no JSON (tc before 4.18, kinds that cannot print it). */
export function parseQdiscs(text: string): Parsed<Qdisc[] | null> {
  const items = parseToolJson(text.trim() === "" ? "[]" : text);
  if (!Array.isArray(items)) return { value: null, unread: 1 };
  const records = asRecords(items);
  const qdiscs = records.map(parseQdisc).filter((qdisc) => qdisc !== null);
  return { value: qdiscs, unread: items.length - qdiscs.length };
}

function parseQdisc(item: JsonRecord): Qdisc | null {
  const dev = asString(item["dev"]);
  const kind = asString(item["kind"]);
  if (dev === null || kind === null) return null;
  const numbers = flattenNumbers(toTable(Object.entries(item).filter(([key]) => key !== "options")));
  return {
    dev,
    kind,
    handle: asString(item["handle"]) ?? "0:",
    parent: item["root"] === true ? "root" : (asString(item["parent"]) ?? "root"),
    options: flattenTexts(item["options"]),
    bytes: asNumber(item["bytes"]) ?? 0,
    packets: asNumber(item["packets"]) ?? 0,
    drops: asNumber(item["drops"]) ?? 0,
    overlimits: asNumber(item["overlimits"]) ?? 0,
    requeues: asNumber(item["requeues"]) ?? 0,
    backlog: asNumber(item["backlog"]) ?? 0,
    length: asNumber(item["qlen"]) ?? 0,
    extra: toTable(Object.entries(numbers).filter(([name]) => !COMMON.has(name))),
  };
}

/** Qdiscs with classes: their filters can also drop. Ingress and clsact sit at the edge of the device. */
const CLASSFUL = new Set(["htb", "hfsc", "prio", "drr", "ets", "qfq", "multiq", "cbq", "dsmark", "atm"]);

/** The `tc filter show` questions worth asking: device, and what to look at. */
export function filterQuestions(qdiscs: readonly Qdisc[]): FilterQuestion[] {
  return qdiscs.flatMap(({ dev, kind }) => directionsOf(kind).map((direction) => ({ dev, direction })));
}

export type FilterQuestion = Pick<TrafficFilter, "dev" | "direction">;

function directionsOf(kind: string): FilterQuestion["direction"][] {
  if (kind === "clsact") return ["ingress", "egress"];
  if (kind === "ingress") return ["ingress"];
  return CLASSFUL.has(kind) ? ["classify"] : [];
}
