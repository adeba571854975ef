import { join } from "node:path";
import { readBtfEnums } from "../../src/host/btf.ts";
import type { HostFacts } from "../../src/host/facts.ts";
import { findField } from "../../src/host/format.ts";
import { hasKernelTypes, usesHeaders } from "../../src/host/kernel-types.ts";
import { isAtLeast } from "../../src/host/version.ts";
import type { PrepareContext, Prepared } from "../../src/probe/define.ts";

/** Index of the attach alternative with the kprobe. */
export const WITH_KPROBE = 0;

/** Fields of oom:mark_victim beside `pid`: since 6.9 and in the stable kernels of 2025; all of them or none. */
const FIGURES = ["total_vm", "anon_rss", "file_rss", "shmem_rss", "pgtables", "uid", "oom_score_adj"];

const POINTER_BYTES = 8;

/** SIGKILLs told one by one in a second: a script that kills thousands must not drown the kernel's kills. */
const MAX_SIGKILLS = 100;

/** Index of the memory controller in this kernel's list (enum cgroup_subsys_id); it depends on what was compiled in. */
async function findMemoryController(host: HostFacts): Promise<number | null> {
  if (host.btf === null) return null;
  const enums = await readBtfEnums(
    join(host.root, host.btf, ".."),
    ["vmlinux"],
    (name) => name === "cgroup_subsys_id",
  );
  for (const [number, name] of enums.get("cgroup_subsys_id") ?? [])
    if (name === "memory_cgrp_id") return number;
  return null;
}

/** Fills the template by what the tracepoint's own format file shows, never by the kernel's version. */
export async function prepareOom(context: PrepareContext): Promise<Prepared> {
  const format = await context.tracepoint("oom:mark_victim");
  const sigkills = (await context.tracepoint("signal:signal_generate")) !== null;
  const bpftrace = context.host.bpftrace?.parsed ?? null;
  const memory = await findMemoryController(context.host);
  const isOld = !isAtLeast(bpftrace, 0, 12);
  const types = hasKernelTypes(context.host);
  const headers = usesHeaders(context.host);
  const has = (name: string) => format !== null && findField(format, name) !== null;
  const fields = FIGURES.every(has);
  return {
    variables: {
      kprobe: context.alternative === WITH_KPROBE && types,
      fields,
      // 0.11 takes `comm` for something else; what 0.23 gives is empty: then the kernel log names the victim.
      name: has("comm") && !isOld,
      cgroup: memory !== null && types,
      // With the kprobe the request tells it, of any victim.
      born: context.alternative !== WITH_KPROBE && types,
      cgroupOffset: (memory ?? 0) * POINTER_BYTES,
      // The headers do not know the type of a field (seen: "unknown type name 'uid_t'").
      uidPrefix: headers && has("uid"),
      // The same for the pid of signal:signal_generate.
      pidPrefix: headers && sigkills,
      sigkills,
      maxSigkills: MAX_SIGKILLS,
    },
    tables: { pageSize: context.host.pageSize, fields },
    degraded: [
      ...(types
        ? []
        : [
            "no kernel types (BTF) with this bpftrace: limits, cgroups and what was asked for are known from the kernel log only, which tells them for ten kills in five seconds",
          ]),
      ...(sigkills
        ? []
        : [
            "this kernel has no signal:signal_generate: kills by earlyoom, systemd-oomd or another process are not seen",
          ]),
    ],
  };
}
