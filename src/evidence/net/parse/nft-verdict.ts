import type { Verdict } from "../types.ts";
import { asList, asRecord, asString, type JsonRecord } from "./values.ts";

/** Statements of libnftables-json(5) that end a packet's way through the chain without being a verdict. */
const TERMINAL = new Set(["dnat", "snat", "masquerade", "redirect", "tproxy", "synproxy", "fwd"]);

/** Targets of iptables that nft shows as foreign expressions. */
const XT_VERDICTS: { readonly [name: string]: Verdict["kind"] } = {
  REJECT: "reject",
  DROP: "drop",
  ACCEPT: "accept",
  NFQUEUE: "queue",
};

/** The verdict in one statement of a rule, or one element of a verdict map; null for any other statement. */
export function parseNftVerdict(statement: JsonRecord): Verdict | null {
  const [kind = "", value] = Object.entries(statement)[0] ?? [];
  if (kind === "drop" || kind === "accept" || kind === "return" || kind === "continue")
    return { kind, target: null };
  if (kind === "reject" || kind === "queue") return { kind, target: null };
  if (kind === "jump" || kind === "goto") return { kind, target: asString(asRecord(value)?.["target"]) };
  if (TERMINAL.has(kind)) return { kind: "other", target: kind };
  const foreign = kind === "xt" ? asRecord(value) : null;
  if (foreign === null || foreign["type"] !== "target") return null;
  const name = asString(foreign["name"]) ?? "";
  const known = XT_VERDICTS[name];
  return known === undefined ? { kind: "other", target: name } : { kind: known, target: null };
}

/** Elements of a verdict map, inline or named: pairs of key and verdict. */
export function parseVerdictElements(
  elements: unknown,
): { readonly key: string; readonly verdict: Verdict | null; readonly raw: unknown }[] {
  return asList(elements).map((element) => {
    const [key, value] = Array.isArray(element) ? asList(element) : [element];
    const statement = asRecord(value);
    return {
      key: describeKey(key),
      verdict: statement === null ? null : parseNftVerdict(statement),
      raw: key,
    };
  });
}

/** A set element's key as a human reads it: `22`, `10.0.0.0/8`, `1-5`, `10.0.0.1 . 80`. */
export function describeKey(key: unknown): string {
  if (typeof key === "string" || typeof key === "number" || typeof key === "boolean") return String(key);
  const record = asRecord(key);
  if (record === null) return "?";
  const inner = asRecord(record["elem"]);
  if (inner !== null) return describeKey(inner["val"]);
  const prefix = asRecord(record["prefix"]);
  if (prefix !== null) return `${describeKey(prefix["addr"])}/${describeKey(prefix["len"])}`;
  if ("range" in record) return asList(record["range"]).map(describeKey).join("-");
  if ("concat" in record) return asList(record["concat"]).map(describeKey).join(" . ");
  return JSON.stringify(key).slice(0, 100);
}
