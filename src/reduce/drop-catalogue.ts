import callSiteData from "./drop-call-sites.json" with { type: "json" };
import reasonData from "./drop-reasons.json" with { type: "json" };
import { typeCallSites, typeReasons } from "../catalogue/typed.ts";
import type { CallSiteEntry, ReasonEntry } from "../catalogue/types.ts";

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
 * Segments for a connection in TIME-WAIT are freed in tcp_v4_rcv without a reason (net/ipv4/tcp_ipv4.c). Of the losses there the
 * last got its reason in Linux 6.15, TCP_LISTEN_OVERFLOW: on kernels that have it, nothing but those is left.
 */
function isTimeWait(reason: string | null, location: string | null, kernel: KernelReasons): boolean {
  return (
    reason === "NOT_SPECIFIED" &&
    (location === "tcp_v4_rcv" || location === "tcp_v6_rcv") &&
    kernel.has("TCP_LISTEN_OVERFLOW")
  );
}

/** Reasons that the running kernel has. */
export interface KernelReasons {
  has(reason: string): boolean;
}

/** Whether a drop is normal life of a network stack (a socket that closes, a duplicate), not loss. */
export function isBenign(reason: string | null, location: string | null, kernel: KernelReasons): boolean {
  return describeDrop(reason, location)?.class === "benign" || isTimeWait(reason, location, kernel);
}
