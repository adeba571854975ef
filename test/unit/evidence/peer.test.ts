import { describe, expect, it } from "vitest";
import { findPeer } from "../../../src/evidence/net/peer.ts";
import type { Link, NetSnapshot } from "../../../src/evidence/net/types.ts";
import { AFTER, DEBIAN13, readSnapshot } from "./fixtures.ts";

const server = readSnapshot(AFTER, "evsrv");
const client = readSnapshot(AFTER, "evcli");

function linkOf(snapshot: NetSnapshot, name: string): Link {
  const link = snapshot.configuration?.links?.find((item) => item.name === name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link;
}

/** The namespace under another inode and name, its veth pointing to an unnamed namespace. */
function disguise(snapshot: NetSnapshot, inode: number, name: string | null): NetSnapshot {
  const links = snapshot.configuration?.links?.map((link) => ({ ...link, peerNetns: null })) ?? null;
  const configuration = snapshot.configuration === null ? null : { ...snapshot.configuration, links };
  return { ...snapshot, netns: { inode, name }, configuration };
}

describe("the other end of a veth", () => {
  it("is found in the namespace that both ends name", () => {
    const peer = findPeer([client, readSnapshot(DEBIAN13, "a"), server], server.netns, linkOf(server, "s0"));
    expect(peer?.netns.name).toBe("evcli");
    expect(peer?.link).toMatchObject({ name: "c0", mtu: 1400 });
  });

  it("is found without names where only one namespace has such a device", () => {
    const [a, b] = [disguise(server, 1, null), disguise(client, 2, null)];
    expect(findPeer([a, b], a.netns, linkOf(a, "s0"))?.netns.inode).toBe(2);
  });

  it("is not guessed between two", () => {
    const [a, b, c] = [disguise(server, 1, null), disguise(client, 2, null), disguise(client, 3, null)];
    expect(findPeer([a, b, c], a.netns, linkOf(a, "s0"))).toBeNull();
  });

  it("is null where its namespace was not read, and for a device that has none", () => {
    expect(findPeer([server], server.netns, linkOf(server, "s0"))).toBeNull();
    expect(findPeer([server, client], server.netns, linkOf(server, "lo"))).toBeNull();
  });

  it("is in the same namespace where no other is named", () => {
    const [left, right] = [
      {
        ...linkOf(server, "s0"),
        index: 8,
        name: "l",
        peerNsid: null,
        peerNetns: null,
        peerIndex: null,
        peerName: "r",
      },
      {
        ...linkOf(server, "s0"),
        index: 9,
        name: "r",
        peerNsid: null,
        peerNetns: null,
        peerIndex: null,
        peerName: "l",
      },
    ];
    if (server.configuration === null) throw new Error("no configuration");
    const snapshot = { ...server, configuration: { ...server.configuration, links: [left, right] } };
    expect(findPeer([snapshot], snapshot.netns, left)?.link.name).toBe("r");
  });
});
