import { endianness } from "node:os";

/** Capabilities that decide what can be traced here. Bit numbers: include/uapi/linux/capability.h. */
export const CAPABILITY_BITS = {
  CAP_DAC_OVERRIDE: 1,
  CAP_DAC_READ_SEARCH: 2,
  CAP_NET_ADMIN: 12,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_SYSLOG: 34,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;
export type CapabilityName = keyof typeof CAPABILITY_BITS;
export type Capabilities = Readonly<Record<CapabilityName, boolean>>;

/** Effective capabilities from the text of `/proc/self/status`; all false when it does not say. */
export function parseCapabilities(status: string): Capabilities {
  const hex = /^CapEff:\s*([0-9a-fA-F]{1,16})$/m.exec(status)?.[1] ?? "0";
  const mask = BigInt(`0x${hex}`);
  const has = (name: CapabilityName): boolean => ((mask >> BigInt(CAPABILITY_BITS[name])) & 1n) === 1n;
  return {
    CAP_DAC_OVERRIDE: has("CAP_DAC_OVERRIDE"),
    CAP_DAC_READ_SEARCH: has("CAP_DAC_READ_SEARCH"),
    CAP_NET_ADMIN: has("CAP_NET_ADMIN"),
    CAP_SYS_PTRACE: has("CAP_SYS_PTRACE"),
    CAP_SYS_ADMIN: has("CAP_SYS_ADMIN"),
    CAP_SYS_RESOURCE: has("CAP_SYS_RESOURCE"),
    CAP_SYSLOG: has("CAP_SYSLOG"),
    CAP_PERFMON: has("CAP_PERFMON"),
    CAP_BPF: has("CAP_BPF"),
  };
}

/** Whether the effective user is root, from `/proc/self/status`. */
export function parseIsRoot(status: string): boolean {
  return /^Uid:\s*\d+\s+0\s/m.test(status);
}

/** Soft limit of locked memory in bytes from `/proc/self/limits`, or null when it does not say. */
export function parseMemlock(limits: string): number | "unlimited" | null {
  const value = /^Max locked memory\s+(\d{1,19}|unlimited)\s/m.exec(limits)?.[1];
  if (value === undefined) return null;
  return value === "unlimited" ? "unlimited" : Number(value);
}

/** Whether a uid map is that of the first user namespace: only there root is root for the kernel. */
export function isInitialUidMap(map: string): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(map);
}

/** Entries of the auxiliary vector that the kernel gives every process. Numbers: include/uapi/linux/auxvec.h. */
const AT_PAGESZ = 6;
const AT_CLKTCK = 17;

/** Page size in bytes and clock ticks per second from the bytes of `/proc/self/auxv` of a 64-bit process. */
export function parseAuxv(bytes: Buffer): { pageSize: number | null; clockTicks: number | null } {
  const values = new Map<number, number>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = endianness() === "LE";
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const value = Number(view.getBigUint64(at + 8, little));
    const key = Number(view.getBigUint64(at, little));
    if (value > 0 && Number.isSafeInteger(value)) values.set(key, value);
  }
  return { pageSize: values.get(AT_PAGESZ) ?? null, clockTicks: values.get(AT_CLKTCK) ?? null };
}

/** Number of processors in a list such as `0-3,8`, or null when it is no such list. */
export function countCpus(list: string): number | null {
  let count = 0;
  for (const range of list.trim().split(",")) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(range);
    if (match === null) return null;
    count += Number(match[2] ?? match[1]) - Number(match[1]) + 1;
  }
  return count > 0 ? count : null;
}
