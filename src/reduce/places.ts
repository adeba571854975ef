import type { Place } from "../diagnose/facts.ts";
import type { NetDelta } from "../evidence/net/types.ts";
import type { Names } from "./names.ts";

/** How to get into the namespaces with these inodes (0 and null: none) and into those that were read, by inode. */
export function listPlaces(
  names: Names,
  inodes: Iterable<number | null>,
  networks: readonly NetDelta[],
): Map<number, Place> {
  const places = new Map<number, Place>();
  for (const inode of inodes) {
    const place = inode === null ? null : names.netns(inode);
    if (place !== null) places.set(place.inode, place);
  }
  for (const network of networks) {
    const place = names.netns(network.netns.inode);
    // It came during the run and dropped nothing: nobody asked who it is, but the evidence was read in it.
    const isKnown = place !== null && place.kind !== "unknown";
    places.set(network.netns.inode, isKnown ? place : placeOf(network));
  }
  return places;
}

function placeOf({ netns, state: { path } }: NetDelta): Place {
  const isNamed = netns.name !== null && path === `/run/netns/${netns.name}`;
  return { ...netns, kind: isNamed ? "named" : "unknown", path, pid: null };
}
