import type { HostFacts } from "./facts.ts";
import { isAtLeast } from "./version.ts";

type Machine = Pick<HostFacts, "btf" | "moduleBtf" | "bpftrace" | "kernel">;

/**
 * Whether this bpftrace compiles every program with the C header linux/types.h instead of the kernel's types (BTF): 0.11 on every
 * kernel (seen), 0.17 where modules have no types (seen on 5.10; they have from 5.11 on), 0.23 nowhere (seen). The header knows
 * neither the kernel's structures nor what the kernel calls `pid_t`.
 */
export function usesHeaders({ bpftrace, kernel, moduleBtf }: Omit<Machine, "btf">): boolean {
  const version = bpftrace?.parsed ?? null;
  if (!isAtLeast(version, 0, 12)) return true;
  return (
    kernel.version !== null && !moduleBtf && !isAtLeast(kernel.version, 5, 11) && !isAtLeast(version, 0, 23)
  );
}

/** Whether a program for this bpftrace can use the kernel's structures. */
export function hasKernelTypes(host: Machine): boolean {
  return host.btf !== null && !usesHeaders(host);
}

/** Whether it also understands all of what today's kernels tell of their types: those before 0.14 know too little of it. */
export function hasRecentTypes(host: Machine): boolean {
  return hasKernelTypes(host) && isAtLeast(host.bpftrace?.parsed ?? null, 0, 14);
}
