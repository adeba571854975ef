import ipaddr from "ipaddr.js";

export type Family = "ipv4" | "ipv6";

export function familyOf(address: string): Family | null {
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return "ipv4";
  return ipaddr.IPv6.isValid(address) ? "ipv6" : null;
}

/**
 * Every prefix that covers the address, longest first, written as `ip route` writes destinations: `10.1.2.3`,
 * `10.1.2.2/31` … `default`. Empty for text that is no address.
 */
export function coveringPrefixes(address: string): string[] {
  const family = familyOf(address);
  if (family === null) return [];
  const bytes = ipaddr.parse(address).toByteArray();
  const bits = bytes.length * 8;
  const prefixes = [ipaddr.fromByteArray(bytes).toString()];
  for (let length = bits - 1; length > 0; length -= 1) {
    const index = length >> 3;
    bytes[index] = (bytes[index] ?? 0) & (0xff << (8 - (length & 7)));
    prefixes.push(`${ipaddr.fromByteArray(bytes).toString()}/${length}`);
  }
  return [...prefixes, "default"];
}

/** Whether `prefix` (`all`, `10.0.0.0/8`, an address) covers the address. */
export function isInPrefix(address: string, prefix: string): boolean {
  if (prefix === "all" || prefix === "default" || prefix === address) return true;
  const [base = "", length = ""] = prefix.split("/");
  if (familyOf(address) === null || familyOf(base) !== familyOf(address)) return false;
  const bits = length === "" ? (familyOf(base) === "ipv4" ? 32 : 128) : Number(length);
  const [one, other] = [ipaddr.parse(address).toByteArray(), ipaddr.parse(base).toByteArray()];
  if (!Number.isInteger(bits) || bits < 0 || bits > one.length * 8) return false;
  return one.every((byte, index) => {
    const left = Math.min(8, Math.max(0, bits - index * 8));
    const mask = (0xff << (8 - left)) & 0xff;
    return (byte & mask) === ((other[index] ?? 0) & mask);
  });
}

/** What kind of address it is: `unicast`, `multicast`, `broadcast`, `loopback`, `unspecified`, `linkLocal`, `reserved` …; null for none. */
export function rangeOf(address: string): string | null {
  return familyOf(address) === null ? null : ipaddr.parse(address).range();
}

export function isMulticast(address: string | null): boolean {
  return address !== null && rangeOf(address) === "multicast";
}
