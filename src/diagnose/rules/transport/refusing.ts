import type { ListenerDelta, NetDelta } from "../../../evidence/net/types.ts";
import type { DropFact } from "../../facts.ts";

const lost = ({ drops }: ListenerDelta): number => drops.delta ?? 0;
const isFull = ({ queued, backlog }: ListenerDelta): boolean => backlog !== null && queued > backlog;

/** Listeners that refused something, most first. */
function listRefusing(network: NetDelta | null): ListenerDelta[] {
  return (network?.listeners ?? [])
    .filter((listener) => lost(listener) > 0)
    .toSorted((a, b) => lost(b) - lost(a));
}

/**
 * Listeners whose accept queue overflowed, most first. A listener counts all it refused in one number, whatever the cause: where all of them
 * together refused more than there were overflows, only those whose queue is full, and others that fit into what is left, can be
 * meant. Without such counts those whose queue is full now; else the ones the events name.
 */
export function findOverflowing(
  network: NetDelta | null,
  drops: readonly DropFact[],
  overflows: number,
): ListenerDelta[] {
  const refusing = listRefusing(network);
  const meant = fitInto(refusing, overflows);
  if (meant.length > 0) return meant;
  if (refusing.length > 0 && overflows > 0) return refusing;
  const listeners = network?.listeners ?? [];
  const full = listeners.filter(isFull);
  if (full.length > 0) return full;
  // Without ss neither counts nor lengths are known: who has most waiting is the one.
  const waiting = listeners.filter(({ queued, backlog }) => backlog === null && queued > 0);
  if (waiting.length > 0) return waiting.toSorted((a, b) => b.queued - a.queued).slice(0, 1);
  const ports = new Set(drops.map(({ destinationPort }) => destinationPort));
  return listeners.filter(({ port }) => ports.has(port));
}

function fitInto(refusing: readonly ListenerDelta[], overflows: number): ListenerDelta[] {
  let rest = overflows;
  const meant = new Set<ListenerDelta>();
  for (const listener of [...refusing.filter(isFull), ...refusing.filter((one) => !isFull(one))]) {
    if (!isFull(listener) && lost(listener) > rest) continue;
    meant.add(listener);
    rest -= lost(listener);
  }
  return refusing.filter((listener) => meant.has(listener));
}

/** Listeners that refused something for another cause than a full accept queue, most first; all of them when none is left. */
export function findRefusingOtherwise(network: NetDelta | null, overflows: number): ListenerDelta[] {
  const refusing = listRefusing(network);
  const overflowing = new Set(overflows > 0 ? findOverflowing(network, [], overflows) : []);
  const others = refusing.filter((listener) => !overflowing.has(listener));
  return others.length > 0 ? others : refusing;
}
