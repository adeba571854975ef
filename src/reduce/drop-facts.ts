import type { DropDescription, DropFact, Place } from "../diagnose/facts.ts";
import { fillTemplates } from "../diagnose/templates.ts";
import { describeDrop, isBenign, type KernelReasons } from "./drop-catalogue.ts";
import type { Names } from "./names.ts";
import type { FlowCount, PacketCounters } from "./packet-counters.ts";
import { protocolName } from "./packet-flow.ts";
import type { StackBook } from "./stacks.ts";

/** Drop reasons of the kernel the session ran on. */
export interface ReasonTable extends KernelReasons {
  /** Null on kernels that give no reasons. */
  name(reason: number): string | null;
}

/** `names`: number → name as the kernel's format file has them. `isKnown` false: this kernel gives no reasons (before 5.17). */
export function createReasonTable(names: Readonly<Record<string, unknown>>, isKnown: boolean): ReasonTable {
  const known = new Set(isKnown ? Object.values(names) : []);
  return {
    name(reason) {
      if (!isKnown) return null;
      const name = names[String(reason)];
      return typeof name === "string" ? name : `REASON_${reason}`;
    },
    has: (reason) => known.has(reason),
  };
}

/** What shares its stacks: one reason at one call site on one device of one namespace; then that call site anywhere. */
export function stackKeys(key: FlowCount["key"]): string[] {
  const { reason, site, netns, ifindex } = key;
  return [`${reason}/${site}/${netns}/${ifindex}`, `${reason}/${site}`];
}

/** Netfilter's own functions: on kernels without reasons the hook only means something there. */
const NETFILTER_SITE = /^(?:nft?_|ipt_|ip6t_|nf_hook)/;

/** The drops as rules read them, most packets first. */
export function listDropFacts(
  counters: PacketCounters,
  names: Names,
  reasons: ReasonTable,
  book: StackBook,
): DropFact[] {
  const drops: DropFact[] = [];
  for (const { key, count, bytes } of counters.flows) {
    if (count === 0) continue;
    const reason = reasons.name(key.reason);
    const location = names.symbol(key.site);
    drops.push({
      reason,
      location,
      functions: [...new Set(book.find(stackKeys(key)).flatMap((stack) => stack.frames))],
      hook: reason === null && (location === null || !NETFILTER_SITE.test(location)) ? null : key.hook,
      proto: protocolName(key),
      source: key.source,
      sourcePort: key.sourcePort,
      destination: key.destination,
      destinationPort: key.destinationPort,
      icmp: key.icmp,
      dev: key.ifindex === 0 ? null : names.device(key.netns, key.ifindex),
      netns: key.netns === 0 ? null : key.netns,
      benign: isBenign(reason, location, reasons),
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
