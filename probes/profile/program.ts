import { EXIT, TraceError } from "../../src/error.ts";
import { findCgroup } from "../../src/host/cgroup-tree.ts";
import { hasRecentTypes } from "../../src/host/kernel-types.ts";
import { isAtLeast } from "../../src/host/version.ts";
import type { PrepareContext, Prepared } from "../../src/probe/define.ts";
import { checkHz, readHz } from "../../src/probe/hz.ts";
import { identifier, literal, type ProgramVariables } from "../../src/probe/render.ts";
import { atLeast, parseBpftraceVersion } from "../../src/wire/version.ts";

/** How often the totals are printed: idle time is known to this, live view and report need no more. */
const PRINT_MS = 100;

/** The oldest kernel whose verifier was seen to accept the program that walks stacks itself. */
const OLDEST_WALK = [6, 1] as const;

/** Fills the template. Throws TraceError for options that contradict each other or do not fit this host. */
export async function prepareProfile({ host, options }: PrepareContext): Promise<Prepared> {
  if (options["user"] === true && options["kernel"] === true) {
    throw new TraceError(EXIT.usage, "--user and --kernel cannot be used together", {
      why: "together they would leave nothing out",
      hint: "trace profile shows both",
    });
  }
  const hz = readHz(options);
  checkHz(hz, host.perf.maxSampleRate);
  const version = host.bpftrace?.version == null ? null : parseBpftraceVersion(host.bpftrace.version);
  // From 0.21 on stacks travel with their sample and there is no table that could be full.
  const hasStackTable = version !== null && !atLeast(version, 0, 21);
  // Up to 0.11 there is no uptr(). The verifier of 5.10 takes minutes for the walk and refuses it; that of 6.1 does not (seen).
  const walk =
    hasStackTable &&
    atLeast(version, 0, 12) &&
    host.arch === "x86_64" &&
    isAtLeast(host.kernel.version, ...OLDEST_WALK);
  const btf = hasRecentTypes(host);
  const variables: ProgramVariables = {
    hz,
    printMs: PRINT_MS,
    btf,
    walk,
    tells: walk && options["kernel"] !== true,
    stackMode: identifier(atLeast(version, 0, 18) ? "raw" : "bpftrace"),
    idle: options["idle"] === true,
    userOnly: options["user"] === true,
    kernelOnly: options["kernel"] === true,
    pid: options.pid !== undefined,
    pidValue: options.pid ?? 0,
    comm: options.comm !== undefined,
    commText: literal(options.comm ?? "", "--comm"),
    cgroups: await listCgroups({ host, options }),
    four: count(4),
    sixteen: count(16),
  };
  return {
    variables,
    tables: { cpus: host.cpus, hz },
    degraded: [
      ...(btf
        ? []
        : ["without kernel type information (BTF), kernel threads that end soon are not recognised"]),
      ...(hasStackTable && !walk
        ? ["bpftrace before 0.21 keeps stacks in a table that loses some of them: long runs lose more"]
        : []),
    ],
  };
}

function count(length: number): { n: number }[] {
  return Array.from({ length }, (_, n) => ({ n }));
}

async function listCgroups({
  host,
  options,
}: Pick<PrepareContext, "host" | "options">): Promise<ProgramVariables[]> {
  if (options.cgroup === undefined) return [];
  const found = await findCgroup(host.cgroup, options.cgroup);
  if (found.ok) return found.tree.ids.map((cgroupId) => ({ cgroupId }));
  throw new TraceError(EXIT.usage, `--cgroup: ${JSON.stringify(options.cgroup)} cannot be used`, {
    why: found.why,
    hint: found.hint,
  });
}
