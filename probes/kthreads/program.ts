import { join } from "node:path";
import { hasRecentTypes, usesHeaders } from "../../src/host/kernel-types.ts";
import { exists } from "../../src/host/read.ts";
import type { PrepareContext, Prepared } from "../../src/probe/define.ts";
import { checkHz, readHz } from "../../src/probe/hz.ts";
import { literal, type ProgramVariables } from "../../src/probe/render.ts";
import { atLeast, parseBpftraceVersion } from "../../src/wire/version.ts";

const PRINT_MS = 100;
/** Tables are printed this often, less often where every entry is summed up over many CPUs. */
const TOTALS_MS = 250;
const TOTALS_MS_LARGE = 1000;
const LARGE = 16;

/** Parts of the program by what this kernel has to have for it, and what is missing without. */
const PARTS = [
  {
    name: "softirq",
    points: ["irq:softirq_entry", "irq:softirq_exit"],
    lacks: "this kernel has no softirq tracepoints: what ksoftirqd works on is told by its stacks only",
  },
  { name: "napi", points: ["napi:napi_poll"], lacks: null },
  {
    name: "workqueue",
    points: ["workqueue:workqueue_execute_start", "workqueue:workqueue_execute_end"],
    lacks: "this kernel has no workqueue tracepoints: what kworkers work on is told by their stacks only",
  },
  { name: "kswapd", points: ["vmscan:mm_vmscan_kswapd_wake", "vmscan:mm_vmscan_wakeup_kswapd"], lacks: null },
  {
    name: "jbd2",
    points: ["jbd2:jbd2_start_commit", "jbd2:jbd2_end_commit", "jbd2:jbd2_run_stats"],
    lacks: null,
  },
  { name: "fsync", points: ["ext4:ext4_sync_file_enter"], lacks: null },
] as const;

/** Fills the template for this kernel. */
export async function prepareKthreads({ host, options, tracepoint }: PrepareContext): Promise<Prepared> {
  checkHz(readHz(options), host.perf.maxSampleRate);
  const variables: { [name: string]: ProgramVariables[string] } = {
    hz: readHz(options),
    printMs: PRINT_MS,
    totalsMs: host.cpus > LARGE ? TOTALS_MS_LARGE : TOTALS_MS,
    pid: options.pid !== undefined,
    pidValue: options.pid ?? 0,
    comm: options.comm !== undefined,
    commText: literal(options.comm ?? "", "--comm"),
  };
  const degraded: string[] = [];
  for (const { name, points, lacks } of PARTS) {
    const formats = await Promise.all(points.map((point) => tracepoint(point)));
    const isThere = formats.every((format) => format !== null);
    variables[name] = isThere;
    if (!isThere && lacks !== null) degraded.push(lacks);
  }
  const version = host.bpftrace?.version == null ? null : parseBpftraceVersion(host.bpftrace.version);
  const btf = hasRecentTypes(host);
  const vectors = (await tracepoint("irq:softirq_entry"))?.symbols["vec"] ?? [];
  // Types of fields that bpftrace does not find: with the C headers none but C's own; up to 0.23 (seen) none of a module's.
  const oldTypes = usesHeaders(host);
  // The oldest does not read texts of tracepoints either.
  if (version !== null && !atLeast(version, 0, 12) && variables["napi"] === true) {
    variables["napi"] = false;
    degraded.push("bpftrace before 0.12 does not read names of devices: packets by device are missing");
  }
  const isModule = await exists(join(host.root, "/sys/module/jbd2/initstate"));
  const tidType =
    variables["jbd2"] === true && (oldTypes || (isModule && version !== null && !atLeast(version, 0, 24)));
  return {
    variables: {
      ...variables,
      oldTypes,
      tidType,
      // 0.27.0 refuses every strncmp(): "expects a int literal (int provided)".
      contains: version !== null && atLeast(version, 0, 24),
      btf,
      named: variables["kswapd"] === true || variables["fsync"] === true,
    },
    tables: {
      cpus: host.cpus,
      hz: readHz(options),
      btf,
      vectors: Object.fromEntries([...vectors].map(([number, name]) => [String(number), name])),
    },
    degraded,
  };
}
