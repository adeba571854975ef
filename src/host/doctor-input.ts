import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { HostFacts } from "./facts.ts";
import { findProgram } from "./find-bpftrace.ts";
import type { TracepointFormat } from "./format.ts";
import { parseOsRelease } from "./packages.ts";
import { exists, readText } from "./read.ts";
import { HELPER_TOOLS } from "./tools.ts";
import { readTracepoint } from "./tracefs.ts";

/** What the doctor wants to know beyond the host's facts. */
export interface DoctorInput {
  /** Tracepoint → its format, or null where the kernel has none or tracefs cannot be read. */
  readonly tracepoints: Readonly<Record<string, TracepointFormat | null>>;
  /** Helper program → its path, or null. */
  readonly tools: Readonly<Record<string, string | null>>;
  readonly osRelease: Readonly<Record<string, string>>;
  readonly kernelLogReadable: boolean;
  /** `linux/types.h`, which some pairs of bpftrace and kernel need. */
  readonly hasKernelHeaders: boolean;
  /** As `process.version` says. */
  readonly nodeVersion: string;
}

/** Tracepoints that the doctor reports on. */
const DOCTOR_TRACEPOINTS = [
  "skb:kfree_skb",
  "tcp:tcp_retransmit_skb",
  "tcp:tcp_send_reset",
  "tcp:tcp_receive_reset",
  "oom:mark_victim",
] as const;

/** Looks at what the doctor reports on. Runs nothing and changes nothing. */
export async function readDoctorInput(
  facts: HostFacts,
  env: { readonly PATH?: string | undefined } = process.env,
): Promise<DoctorInput> {
  const { root } = facts;
  const tracepoints = await Promise.all(
    DOCTOR_TRACEPOINTS.map(async (name) => [name, await readTracepoint(facts, name)] as const),
  );
  const tools = await Promise.all(
    HELPER_TOOLS.map(async ({ name }) => [name, await findProgram(name, env, root)] as const),
  );
  const osRelease =
    (await readText(join(root, "/etc/os-release"))) ?? (await readText(join(root, "/usr/lib/os-release")));
  return {
    tracepoints: Object.fromEntries(tracepoints),
    tools: Object.fromEntries(tools),
    osRelease: parseOsRelease(osRelease ?? ""),
    kernelLogReadable: await canReadKernelLog(root),
    hasKernelHeaders: await exists(join(root, "/usr/include/linux/types.h")),
    nodeVersion: process.version,
  };
}

/** Opening is not enough: with `dmesg_restrict` the kernel refuses at open, a container's seccomp filter or cgroup at either. */
async function canReadKernelLog(root: string): Promise<boolean> {
  try {
    await using file = await open(join(root, "/dev/kmsg"), constants.O_RDONLY | constants.O_NONBLOCK);
    await file.read(Buffer.alloc(8192), 0, 8192, null);
    return true;
  } catch (error) {
    // EAGAIN: readable but empty; EPIPE: the oldest line was overwritten meanwhile.
    const code = error instanceof Error && "code" in error ? error.code : null;
    return code === "EAGAIN" || code === "EPIPE";
  }
}
