import { EXIT, TraceError } from "../error.ts";
import type { HostFacts } from "../host/facts.ts";
import { checkPrivileges } from "../host/privileges.ts";
import { hasTracepoint } from "../host/tracefs.ts";
import type { ProbeDefinition } from "./define.ts";

export type AttachChoice =
  | { readonly ok: true; readonly alternative: number; readonly lacks: string | null }
  | { readonly ok: false; readonly why: string; readonly hint: string };

/** Why this host cannot run any bpftrace program, or null. */
function findHostProblem(host: HostFacts): { why: string; hint: string } | null {
  const privileges = checkPrivileges(host);
  if (!privileges.ok) {
    return { why: `bpftrace may not trace here: ${privileges.why}`, hint: "sudo trace …" };
  }
  if (host.lockdown === "confidentiality") {
    return {
      why: "the kernel is locked down (confidentiality): no program may read its memory",
      hint: "cat /sys/kernel/security/lockdown   # boot with lockdown=integrity, or Secure Boot off",
    };
  }
  if (host.bpftrace === null) {
    return {
      why: host.bpftraceProblem ?? "bpftrace is not installed",
      hint: "trace doctor --fix   # installs it",
    };
  }
  if (host.tracefs === null) {
    return {
      why: "tracefs is not mounted: the kernel's tracepoints cannot be read",
      hint: "mount -t tracefs tracefs /sys/kernel/tracing",
    };
  }
  return null;
}

/** Picks the first alternative whose attach points this host has (decision 7 of docs/architecture.md). */
export async function chooseAttach(definition: ProbeDefinition, host: HostFacts): Promise<AttachChoice> {
  const problem = findHostProblem(host);
  if (problem !== null) return { ok: false, ...problem };
  if (definition.needsBtf === true && host.btf === null) {
    return {
      ok: false,
      why: "the kernel has no type information (/sys/kernel/btf/vmlinux)",
      hint: "use a kernel with CONFIG_DEBUG_INFO_BTF=y: Debian 11+, Ubuntu 20.10+, RHEL 8.2+",
    };
  }
  const missing: string[] = [];
  for (const [alternative, { points, lacks }] of definition.attach.entries()) {
    const absent = [];
    for (const point of points) if (!(await hasAttachPoint(point, host))) absent.push(point);
    if (absent.length === 0) return { ok: true, alternative, lacks: lacks ?? null };
    missing.push(...absent);
  }
  return {
    ok: false,
    why: `this kernel has no ${[...new Set(missing)].join(", ")}`,
    hint: "trace doctor   # shows what this kernel offers",
  };
}

async function hasAttachPoint(point: string, host: HostFacts): Promise<boolean> {
  const [type = "", ...rest] = point.split(":");
  switch (type) {
    case "tracepoint":
      return hasTracepoint(host, rest.join(":"));
    case "kprobe":
    case "kretprobe":
      return host.kprobes === true;
    case "uprobe":
    case "uretprobe":
      return host.uprobes === true;
    default:
      return true;
  }
}

/** As `chooseAttach`, but a host that cannot is an error (exit 3). */
export async function requireAttach(
  definition: ProbeDefinition,
  host: HostFacts,
): Promise<{ alternative: number; lacks: string | null }> {
  const choice = await chooseAttach(definition, host);
  if (choice.ok) return choice;
  throw new TraceError(EXIT.host, `this host cannot run trace ${definition.name}`, {
    why: choice.why,
    hint: choice.hint.replace("trace …", `trace ${definition.name}`),
  });
}
