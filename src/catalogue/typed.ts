/**
 * From JSON to the types: a JSON import says `string` where a catalogue has one of a few words.
 * A word that is none of them is a typo in a data file, and is reported with its place.
 */
import {
  COUNTER_KINDS,
  COUNTER_SEVERITIES,
  DROP_CLASSES,
  DROP_LAYERS,
  type CallSiteEntry,
  type CounterEntry,
  type ReasonEntry,
} from "./types.ts";

type Loose<Entry, Words extends keyof Entry> = Omit<Entry, Words> & { readonly [Word in Words]: string };

/** Entries of `reasons.json`, checked. Throws where a word is none of the allowed. */
export function typeReasons(
  raw: Readonly<Record<string, Loose<ReasonEntry, "class" | "layer">>>,
): Readonly<Record<string, ReasonEntry>> {
  return mapEntries(raw, (entry, name) => ({
    ...entry,
    class: oneOf(DROP_CLASSES, entry.class, name),
    layer: oneOf(DROP_LAYERS, entry.layer, name),
  }));
}

/** Entries of `call-sites.json`, checked. Throws where a word is none of the allowed. */
export function typeCallSites(
  raw: Readonly<Record<string, Loose<CallSiteEntry, "class">>>,
): Readonly<Record<string, CallSiteEntry>> {
  return mapEntries(raw, (entry, name) => ({ ...entry, class: oneOf(DROP_CLASSES, entry.class, name) }));
}

/** Entries of `counters.json`, checked. Throws where a word is none of the allowed. */
export function typeCounters(
  raw: Readonly<Record<string, Loose<CounterEntry, "kind" | "severity">>>,
): Readonly<Record<string, CounterEntry>> {
  return mapEntries(raw, (entry, name) => ({
    ...entry,
    kind: oneOf(COUNTER_KINDS, entry.kind, name),
    severity: oneOf(COUNTER_SEVERITIES, entry.severity, name),
  }));
}

function mapEntries<From, To>(
  raw: Readonly<Record<string, From>>,
  convert: (entry: From, name: string) => To,
): Readonly<Record<string, To>> {
  return Object.fromEntries(Object.entries(raw).map(([name, entry]) => [name, convert(entry, name)]));
}

function oneOf<Word extends string>(allowed: readonly Word[], word: string, where: string): Word {
  const found = allowed.find((candidate) => candidate === word);
  if (found === undefined) throw new Error(`${where}: "${word}" is none of ${allowed.join(", ")}`);
  return found;
}
