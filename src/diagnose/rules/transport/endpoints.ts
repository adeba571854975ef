import type { NetDelta } from "../../../evidence/net/types.ts";
import { escapeText } from "../../../text/escape.ts";
import type { Facts } from "../../facts.ts";
import { findAddress, readNumbers, tellNetns } from "../../where.ts";

/** `10.0.0.1:80`, `[fd00::1]:80`, `*:80`. */
export function hostPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Where the kernel takes ports for clients from, unless told otherwise (net/ipv4/af_inet.c). */
const DEFAULT_RANGE = [32_768, 60_999] as const;

/** Whether clients of this namespace get such a port for themselves. */
export function isEphemeral(facts: Facts, network: NetDelta | null, port: number): boolean {
  const [low = DEFAULT_RANGE[0], high = DEFAULT_RANGE[1]] = readNumbers(
    facts,
    network,
    "net.ipv4.ip_local_port_range",
  );
  return port >= low && port <= high;
}

/** `nginx (pid 812)`, or "a program" where the process is not known (gone, or hidden). */
export function tellOwner(facts: Facts, inode: number | null): string {
  const owner = inode === null ? undefined : facts.owners.get(inode);
  return owner === undefined ? "a program" : `${escapeText(owner.comm)} (pid ${owner.pid})`;
}

/** Senders that are namespaces of this machine, by name: the operator can go there. */
export function tellAskers(facts: Facts, addresses: readonly string[]): string {
  const known = addresses.slice(0, 3).flatMap((address) => {
    const network = findAddress(facts, address);
    return network === null ? [] : [`${address} is ${tellNetns(facts, network.netns.inode)}`];
  });
  return known.length === 0 ? "" : `; ${known.join(", ")}`;
}
