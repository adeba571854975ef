import { findPeer, type Peer } from "../../../../evidence/net/peer.ts";
import type { InterfaceDelta, Link, NetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { inNetns } from "../../../commands.ts";
import type { Facts } from "../../../facts.ts";
import { findPlace, tellNetns } from "../../../where.ts";

export function linksOf(network: NetDelta | null): readonly Link[] {
  return network?.state.configuration?.links ?? [];
}

export function findLink(network: NetDelta | null, dev: string | null): Link | null {
  return dev === null ? null : (linksOf(network).find((link) => link.name === dev) ?? null);
}

export function findInterface(network: NetDelta | null, dev: string | null): InterfaceDelta | null {
  return dev === null ? null : (network?.interfaces.find((item) => item.name === dev) ?? null);
}

/** Switched on (`ip link set up`). */
export function isUp(link: Link): boolean {
  return link.flags.includes("UP");
}

/** Switched on, but nobody at the other end. */
export function lacksCarrier(link: Link): boolean {
  return isUp(link) && (link.flags.includes("NO-CARRIER") || !link.flags.includes("LOWER_UP"));
}

/** The other end of a veth, in whichever namespace it lives; null when that cannot be told. */
export function otherEnd(facts: Facts, network: NetDelta | null, link: Link | null): Peer | null {
  if (network === null || link?.kind !== "veth") return null;
  return findPeer(
    facts.networks.map(({ state }) => state),
    network.netns,
    link,
  );
}

/** `eth0 in namespace "web"`. */
export function tellDevice(facts: Facts, netns: number | null, dev: string): string {
  return `${dev} in ${tellNetns(facts, netns)}`;
}

/** Whether a device that packets went through is not there any more; false where the end was not read. */
export function isDeviceGone(network: NetDelta | null, dev: string | null): boolean {
  return (
    dev !== null &&
    network?.isEndUnread === false &&
    network.state.configuration?.links?.every(({ name }) => name !== dev) === true
  );
}

/** `ip netns exec web ip link set dev eth0 mtu 1500`. */
export function setLink(facts: Facts, netns: number | null, dev: string, setting: string): string {
  return inNetns(findPlace(facts, netns), `ip link set dev ${quoteShell(dev)} ${setting}`);
}

/** A device in the name of a setting: sysctl(8) writes a dot inside it as a slash. */
export function deviceKey(dev: string): string {
  return dev.replaceAll(".", "/");
}

/**
 * A setting of one device (or of `all`) as a number; null when it was not read. Never the host's: its devices are others,
 * also where they have the same name.
 */
export function readDeviceSetting(
  network: NetDelta | null,
  family: "ipv4" | "ipv6",
  dev: string,
  name: string,
): number | null {
  const text = network?.state.configuration?.sysctls?.[`net.${family}.conf.${deviceKey(dev)}.${name}`];
  const value = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}
