import type { DropDescription, DropFact, Place } from "../../src/diagnose/facts.ts";
import { fillTemplates } from "../../src/diagnose/templates.ts";
import type { Names } from "../../src/reduce/names.ts";
import type { FlowCount } from "../../src/reduce/packet-counters.ts";
import { ownPart, type StackBook } from "../../src/reduce/stacks.ts";
import { describeDrop } from "./catalogue.ts";
import type { ReasonTable } from "./reasons.ts";
import { nameFlow } from "./rows.ts";

export interface StackGroup {
  readonly reason: number;
  /** Low 32 bits of the call site. */
  readonly site: number;
  readonly ifindex: number;
  readonly netns: number;
}

/** What shares its stacks: one reason at one call site on one device of one namespace; then that call site anywhere. */
export function stackKeys({ reason, site, netns, ifindex }: StackGroup): string[] {
  return [`${reason}/${site}/${netns}/${ifindex}`, `${reason}/${site}`];
}

/** The drops as rules read them, most packets first. */
export function listDropFacts(
  flows: Iterable<FlowCount>,
  names: Names,
  reasons: ReasonTable,
  book: StackBook,
): DropFact[] {
  const drops: DropFact[] = [];
  for (const { key, count, bytes } of flows) {
    if (count === 0) continue;
    drops.push({
      ...nameFlow(key, names, reasons),
      netns: key.netns === 0 ? null : key.netns,
      functions: [...new Set(book.find(stackKeys(key)).flatMap((stack) => ownPart(stack.frames)))],
      count,
      bytes,
    });
  }
  return drops.sort((a, b) => b.count - a.count);
}

/** The catalogue's words for a drop, its commands filled in with the drop's own values. */
export function tellDrop(drop: DropFact, place: Place | null): DropDescription | null {
  const entry = describeDrop(drop.reason, drop.location);
  if (entry === null) return null;
  const values = {
    place,
    dev: drop.dev,
    port: drop.destinationPort,
    source: drop.source,
    destination: drop.destination,
  };
  return {
    meaning: entry.meaning,
    class: entry.class,
    reasons: "reasons" in entry ? entry.reasons : drop.reason === null ? [] : [drop.reason],
    check: fillTemplates(entry.check, values),
    fix: fillTemplates(entry.fix, values),
  };
}
