import type { Ends } from "./delta/context.ts";
import { deltaConntrack, deltaCounters, deltaSoftnet, deltaTable } from "./delta/counters.ts";
import { allGone, findGone } from "./delta/gone.ts";
import { deltaInterfaces } from "./delta/interfaces.ts";
import { deltaChains, deltaRules, deltaSetElements } from "./delta/rules.ts";
import { deltaDatagramSockets, deltaListeners, findUnresolved } from "./delta/sockets.ts";
import { deltaFilters, deltaPacketQueues, deltaQdiscs } from "./delta/traffic.ts";
import type { Missing, NetDelta, NetSnapshot, Unread } from "./types.ts";

/**
 * What changed in one namespace. `before` is null when it could not be read then, or (`created`) did not exist yet:
 * in that case everything has counted from 0, else the changes are unknown.
 */
export function deltaNet(before: NetSnapshot | null, after: NetSnapshot, created = false): NetDelta {
  const ends: Ends = { netns: after.netns, before, after, created };
  const hosts = [before?.counters.host ?? null, after.counters.host] as const;
  return {
    netns: after.netns,
    seconds: before === null ? 0 : Math.max(0, after.takenAt - before.takenAt),
    state: { ...after, configuration: after.configuration ?? before?.configuration ?? null },
    counters: deltaCounters(ends),
    interfaces: deltaInterfaces(ends),
    qdiscs: deltaQdiscs(ends),
    filters: deltaFilters(ends),
    rules: deltaRules(ends),
    chains: deltaChains(ends),
    setElements: deltaSetElements(ends),
    datagramSockets: deltaDatagramSockets(ends),
    listeners: deltaListeners(ends),
    conntrack: deltaConntrack(ends),
    packetQueues: deltaPacketQueues(ends),
    isGone: false,
    isEndUnread: after.configuration === null,
    gone: findGone(ends),
    unresolved: findUnresolved(ends),
    softnet: deltaSoftnet(...hosts),
    arp: deltaTable(...hosts, "arp"),
    ndisc: deltaTable(...hosts, "ndisc"),
    routing: deltaTable(...hosts, "routing"),
    missing: mergeMissing(before?.missing ?? [], after.missing),
    unread: mergeUnread(before?.unread ?? [], after.unread),
  };
}

/**
 * What changed in all namespaces, in the order of `after`, then those that are gone at the end. One that has no snapshot
 * at the start did not exist then: so both lists must come from asking for all namespaces. `before` is null where the run
 * ended before the start was read: then no change is known.
 */
export function deltaNets(before: readonly NetSnapshot[] | null, after: readonly NetSnapshot[]): NetDelta[] {
  const starts = new Map(before?.map((snapshot) => [snapshot.netns.inode, snapshot]));
  const ends = new Set(after.map(({ netns }) => netns.inode));
  const stayed = after.map((snapshot) => {
    const start = starts.get(snapshot.netns.inode) ?? null;
    return deltaNet(start, snapshot, before !== null && start === null);
  });
  const gone = before?.filter(({ netns }) => !ends.has(netns.inode)).map(goneNet) ?? [];
  return [...stayed, ...gone];
}

/** A namespace that is gone: how it was set up at the start, and nothing of what it counted since. */
function goneNet(start: NetSnapshot): NetDelta {
  const { configuration } = start;
  const state = {
    ...start,
    configuration: configuration === null ? null : { ...configuration, listeners: null },
  };
  return {
    ...deltaNet(null, state),
    isGone: true,
    gone: allGone(configuration),
    interfaces: [],
    listeners: [],
    datagramSockets: [],
    missing: [],
    unread: [],
  };
}

function mergeMissing(before: readonly Missing[], after: readonly Missing[]): Missing[] {
  const seen = new Map([...before, ...after].map((item) => [`${item.what}\n${item.why}`, item]));
  return [...seen.values()];
}

function mergeUnread(before: readonly Unread[], after: readonly Unread[]): Unread[] {
  const counts = new Map<string, number>();
  for (const { what, count } of [...before, ...after])
    counts.set(what, Math.max(counts.get(what) ?? 0, count));
  return [...counts].map(([what, count]) => ({ what, count }));
}
