import type { Link, NetnsId, NetSnapshot } from "./types.ts";

/** The device at the other end of a veth, and where it lives. */
export type Peer = { readonly netns: NetnsId; readonly link: Link };

/**
 * The other end of a veth among the given snapshots; null when it is in none of them, or when it cannot be told which
 * of several it is. Both ends name each other's index; the namespace is known by name (/run/netns) or found as the
 * only one where the indexes agree.
 */
export function findPeer(snapshots: readonly NetSnapshot[], netns: NetnsId, link: Link): Peer | null {
  const here = snapshots.find((snapshot) => snapshot.netns.inode === netns.inode);
  if (link.peerNsid === null) {
    const other = linksOf(here).find((item) => item.name === link.peerName || item.index === link.peerIndex);
    return here === undefined || other === undefined || other.index === link.index
      ? null
      : { netns, link: other };
  }
  const candidates = snapshots
    .filter((snapshot) => snapshot.netns.inode !== netns.inode)
    .filter((snapshot) => link.peerNetns === null || snapshot.netns.name === link.peerNetns)
    .flatMap((snapshot) =>
      linksOf(snapshot)
        .filter(
          (item) => item.index === link.peerIndex && item.peerIndex === link.index && item.kind === link.kind,
        )
        .map((item) => ({ netns: snapshot.netns, link: item })),
    );
  const named = candidates.filter((item) => namesBack(snapshots, item, netns));
  const [only, second] = named.length > 0 ? named : candidates;
  return only === undefined || second !== undefined ? null : only;
}

/** Whether the other end knows our namespace by its name. */
function namesBack(snapshots: readonly NetSnapshot[], peer: Peer, netns: NetnsId): boolean {
  const own = snapshots.find((snapshot) => snapshot.netns.inode === netns.inode)?.netns.name ?? null;
  return own !== null && peer.link.peerNetns === own;
}

function linksOf(snapshot: NetSnapshot | undefined): readonly Link[] {
  return snapshot?.configuration?.links ?? [];
}
