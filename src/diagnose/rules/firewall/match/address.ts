import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** An address as a number, to be compared with many ranges. */
export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface AddressRange {
  readonly family: 4 | 6;
  readonly low: bigint;
  readonly high: bigint;
}

/** Null for what is no address. */
export function readAddress(text: string): Address | null {
  const family = isIP(text);
  if (family === 0 || text.includes("%")) return null;
  const bytes = ipaddr.parse(text).toByteArray();
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: family === 4 ? 4 : 6, value };
}

/** `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1-10.0.0.9`; null for anything else, also a range from high to low. */
export function readRange(text: string): AddressRange | null {
  const dash = text.indexOf("-");
  if (dash > 0) {
    const [low, high] = [readAddress(text.slice(0, dash)), readAddress(text.slice(dash + 1))];
    if (low === null || high === null || low.family !== high.family || low.value > high.value) return null;
    return { family: low.family, low: low.value, high: high.value };
  }
  const [, base = "", prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = readAddress(base);
  if (address === null) return null;
  const width = address.family === 4 ? 32 : 128;
  const length = Number(prefix ?? width);
  if (length > width) return null;
  const rest = BigInt(width - length);
  const low = (address.value >> rest) << rest;
  return { family: address.family, low, high: low + (1n << rest) - 1n };
}

export function isWithin(address: Address, range: AddressRange): boolean {
  return address.family === range.family && address.value >= range.low && address.value <= range.high;
}
