import callSiteData from "./call-sites.json" with { type: "json" };
import reasonData from "./reasons.json" with { type: "json" };
import { typeCallSites, typeReasons } from "../../src/catalogue/typed.ts";
import type { CallSiteEntry, ReasonEntry } from "../../src/catalogue/types.ts";
import type { Topic } from "../../src/probe/define.ts";

const REASONS = typeReasons(reasonData);
const CALL_SITE_ENTRIES = typeCallSites(callSiteData);
const CALL_SITES = indexCallSites(CALL_SITE_ENTRIES);

/** Kernels rename and inline these functions: an entry is found by any of its names. */
function indexCallSites(
  entries: Readonly<Record<string, CallSiteEntry>>,
): ReadonlyMap<string, CallSiteEntry> {
  const index = new Map<string, CallSiteEntry>();
  for (const entry of Object.values(entries)) for (const name of entry.alsoKnownAs) index.set(name, entry);
  for (const [name, entry] of Object.entries(entries)) index.set(name, entry);
  return index;
}

/** The catalogue entry of a reason name, or null for a reason newer than the catalogue. */
function findReason(name: string): ReasonEntry | null {
  return (Object.hasOwn(REASONS, name) ? REASONS[name] : undefined) ?? null;
}

/** The entry of a call site, without the suffixes a compiler adds (`.part.0`, `.constprop.0`, `.isra.0`, `.cold`). */
function findCallSite(symbol: string): CallSiteEntry | null {
  const name = symbol.replace(/\.(?:part|constprop|isra|cold|llvm)\b.*$/, "");
  return CALL_SITES.get(name) ?? null;
}

/** Reasons that say nothing by themselves: the call site decides. */
const VAGUE: ReadonlySet<string> = new Set(["NOT_SPECIFIED", "SKB_NOT_DROPPED_YET"]);

/** What is known about a drop: by its reason, or by where it happened when the reason says nothing. */
export function describeDrop(
  reason: string | null,
  location: string | null,
): ReasonEntry | CallSiteEntry | null {
  if (reason !== null && !VAGUE.has(reason)) return findReason(reason);
  const site = location === null ? null : findCallSite(location);
  return site ?? (reason === null ? null : findReason(reason));
}

/**
 * Functions that free normal packets without a reason, beside losses. Where the kernel has the reason `since`, which the last
 * of those losses got, nothing but the normal ones is left without one.
 */
const REMNANTS = [
  {
    // net/ipv4/tcp_ipv4.c, do_time_wait; TCP_LISTEN_OVERFLOW came with Linux 6.15.
    sites: ["tcp_v4_rcv", "tcp_v6_rcv"],
    since: "TCP_LISTEN_OVERFLOW",
    because: "The last segments of connections that are closed already (TIME-WAIT).",
  },
  {
    // net/ipv4/tcp_input.c: what carries no data in CLOSE-WAIT, CLOSING and LAST-ACK has been acted on when it is freed.
    sites: ["tcp_rcv_state_process"],
    since: "TCP_FLAGS",
    because: "Acknowledgements and resets of connections that are being closed; they were acted on before.",
  },
] as const;

function findRemnant(reason: string | null, location: string | null, kernel: KernelReasons) {
  if (reason !== "NOT_SPECIFIED") return undefined;
  return REMNANTS.find(({ sites, since }) => sites.some((site) => site === location) && kernel.has(since));
}

/** Reasons that the running kernel has. */
export interface KernelReasons {
  has(reason: string): boolean;
}

/** Whether a drop is normal life of a network stack (a socket that closes, a duplicate), not loss. */
export function isBenign(reason: string | null, location: string | null, kernel: KernelReasons): boolean {
  const remnant = findRemnant(reason, location, kernel);
  return remnant !== undefined || describeDrop(reason, location)?.class === "benign";
}

/** Why a benign drop is normal, one sentence; null where the catalogue does not say. */
export function explainBenign(
  reason: string | null,
  location: string | null,
  kernel: KernelReasons,
): string | null {
  const remnant = findRemnant(reason, location, kernel);
  return remnant?.because ?? describeDrop(reason, location)?.benignBecause ?? null;
}

const CLASS_WORDS = { loss: "real loss", depends: "may be harmless", benign: "normal" } as const;

/** The catalogue for `trace explain`. */
export function listTopics(): Topic[] {
  const reasons = Object.entries(REASONS).map(([name, entry]) => ({
    name,
    kind: "drop reason",
    text: `${entry.meaning} (${CLASS_WORDS[entry.class]}${entry.since === undefined ? "" : `, since Linux ${entry.since}`})${entry.benignBecause === undefined ? "" : ` ${entry.benignBecause}`}`,
    causes: entry.causes,
    check: entry.check,
    fix: entry.fix,
    related: entry.counters,
  }));
  const sites = Object.entries(CALL_SITE_ENTRIES).map(([name, entry]) => ({
    name,
    kind: "call site",
    text: `${entry.meaning} (${CLASS_WORDS[entry.class]})${entry.benignBecause === undefined ? "" : ` ${entry.benignBecause}`}`,
    check: entry.check,
    fix: entry.fix,
    related: entry.reasons,
  }));
  return [...reasons, ...sites];
}
