import ipaddr from "ipaddr.js";

/** Swaps the two bytes of a port as a little-endian machine read it off the wire. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >> 8) & 0xff);
}

/** The four bytes in the low half of a word, in memory order, as dotted decimals. */
export function formatIpv4(value: bigint): string {
  const bits = Number(value & 0xffff_ffffn);
  return `${bits & 0xff}.${(bits >>> 8) & 0xff}.${(bits >>> 16) & 0xff}.${bits >>> 24}`;
}

/** Two words in memory order as RFC 5952 writes them; IPv4-mapped addresses as IPv4. */
export function formatIpv6(low: bigint, high: bigint): string {
  const bytes = [low, high].flatMap((half) =>
    Array.from({ length: 8 }, (_, index) => Number((half >> BigInt(index * 8)) & 0xffn)),
  );
  const address = new ipaddr.IPv6(bytes);
  return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toRFC5952String();
}

/** `10.0.0.1:80`, `[fd00::1]:80`; `*` for what is not known or many. */
export function formatEnd(address: string | null, port: number | null): string {
  const host = address === null ? "*" : address.includes(":") ? `[${address}]` : address;
  return `${host}:${port ?? "*"}`;
}
