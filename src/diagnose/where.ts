import type { NetDelta } from "../evidence/net/types.ts";
import { findNetwork, type Facts, type Place } from "./facts.ts";
import type { Finding } from "./finding.ts";

/** Who a namespace is and how to get into it; null for an unknown one. */
export function findPlace(facts: Facts, inode: number | null): Place | null {
  return inode === null ? null : (facts.places.get(inode) ?? null);
}

/** The `netns` of a finding. */
export function nameNetns(facts: Facts, inode: number | null): Finding["netns"] {
  if (inode === null) return null;
  return { inode, name: findPlace(facts, inode)?.name ?? findNetwork(facts, inode)?.netns.name ?? null };
}

/** For a sentence: `namespace "web"`, `the host's own namespace`, `namespace 4026532414`. */
export function tellNetns(facts: Facts, inode: number | null): string {
  if (inode === null) return "an unknown namespace";
  if (findPlace(facts, inode)?.kind === "host") return "the host's own namespace";
  const name = nameNetns(facts, inode)?.name ?? null;
  return name === null ? `namespace ${inode}` : `namespace "${name}"`;
}

/** The namespace of this machine that has `address`; null when none, or several (10.88.0.1 in two of them) have it. */
export function findAddress(facts: Facts, address: string | null): NetDelta | null {
  const owners = address === null ? [] : findAddresses(facts, address);
  return owners.length === 1 ? (owners[0] ?? null) : null;
}

/** All namespaces of this machine that have `address`. */
export function findAddresses(facts: Facts, address: string): readonly NetDelta[] {
  if (isLoopback(address)) return [];
  return facts.networks.filter(
    (network) =>
      network.state.configuration?.routes?.some(
        (route) => route.type === "local" && route.destination === address,
      ) ?? false,
  );
}

export function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.");
}

/** The host's own namespace: where settings live that the kernel has only once. */
export function findHost(facts: Facts): NetDelta | null {
  return facts.networks.find(({ netns }) => facts.places.get(netns.inode)?.kind === "host") ?? null;
}

/** A setting of that namespace, else of the host (a setting that exists once is not to be seen in the others); null: unknown. */
export function readSysctl(facts: Facts, network: NetDelta | null, name: string): string | null {
  return (
    network?.state.configuration?.sysctls?.[name] ??
    findHost(facts)?.state.configuration?.sysctls?.[name] ??
    null
  );
}

/** The numbers of a setting (`4096 131072 6291456`); empty when unknown. */
export function readNumbers(facts: Facts, network: NetDelta | null, name: string): number[] {
  const text = readSysctl(facts, network, name);
  const numbers = text === null ? [] : text.trim().split(/\s+/).map(Number);
  return numbers.every((value) => Number.isFinite(value)) ? numbers : [];
}
