import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createRecordCheck } from "../support/schema.ts";
import type { Step } from "./cases.ts";

/** A record as it was printed; its shape is what the schema check looks at. */
interface Row {
  readonly type: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- records are read freely here; their shape is checked by the schema
  readonly [field: string]: any;
}

/** What one step left behind in the folder of its case. */
export interface StepResult {
  readonly exit: number | null;
  readonly stderr: string;
  readonly records: readonly Row[];
  /** What the kernel and the rules counted, by name; a name can come more than once. */
  readonly truth: ReadonlyMap<string, readonly string[]>;
  /** In a virtual machine: its timers tick late, and bpftrace may need longer to end than it traced. */
  readonly isEmulated: boolean;
}

/** Reads what guest.sh wrote. A step that did not run has no exit code. */
export function readStep(folder: string, step: Step): StepResult {
  const read = (name: string) => {
    const path = join(folder, `${step}.${name}`);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  const truth = new Map<string, string[]>();
  for (const line of read("truth").split("\n")) {
    const [, name, value] = /^(\S+) (\S+)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) truth.set(name, [...(truth.get(name) ?? []), value]);
  }
  const exit = read("exit").trim();
  return {
    exit: exit === "" ? null : Number(exit),
    stderr: read("err").trim(),
    records: read("json")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Row),
    truth,
    isEmulated: existsSync(join(folder, "console")),
  };
}

/** What is wrong with a step; empty when nothing is. */
export async function checkStep(step: Step, result: StepResult): Promise<string[]> {
  if (result.exit === null) return ["did not run"];
  if (result.exit !== 0)
    return [`exit code ${String(result.exit)}: ${result.stderr.split("\n").join(" | ")}`];
  if (step === "scripts") return checkScripts(result);
  const last = result.records.at(-1);
  if (last === undefined) return ["printed no records"];
  if (step === "doctor") return checkDoctor(result.records, last);
  const check = await createRecordCheck(step);
  const broken = result.records.flatMap((record) =>
    check(record).map(({ instancePath, message }) => `${record.type}${instancePath} ${message ?? ""}`),
  );
  if (last.type !== "summary") return [...broken, `the last record is ${last.type}`];
  return [...new Set(broken)].slice(0, 5).concat(COUNTS[step](last, result));
}

/** What the doctor says has to be so: the steps that follow run here, and their tools are there. */
function checkDoctor(checks: readonly Row[], summary: Row): string[] {
  const missing = checks
    .filter(({ status }) => status === "missing")
    .map(({ id }) => `missing: ${String(id)}`);
  return summary["canTraceDrops"] === true ? missing : ["says that trace drops cannot run", ...missing];
}

function checkScripts({ truth, stderr }: StepResult): string[] {
  const failed = [...truth].filter(([, [status]]) => status !== "0").map(([probe]) => probe);
  if (truth.size < 5) return ["not every program was tried"];
  return failed.length === 0 ? [] : [`${failed.join(", ")}: ${stderr.split("\n").slice(0, 4).join(" | ")}`];
}

type Counts = (summary: Row, result: StepResult) => string[];

const COUNTS: Readonly<Record<Exclude<Step, "doctor" | "scripts">, Counts>> = {
  drops(summary, result) {
    const counted = ["closed", "nftables", "iptables"].map((name) => truthOf(result, name));
    const all = counted.reduce((sum, count) => sum + count, 0);
    // Without the kernel's types there are no ports: then the sum has to be enough.
    if (!hasTypes(result)) return atLeast("drops", summary["drops"].total, all);
    return [9999, 7777, 5353].flatMap((port, index) => {
      const flows = (summary["flows"] as Row[]).filter((flow) => flow["destinationPort"] === port);
      const found = flows.reduce((sum, flow) => sum + Number(flow["count"]), 0);
      return found === counted[index]
        ? []
        : [`port ${String(port)}: ${String(found)} drops, the kernel counted ${String(counted[index])}`];
    });
  },
  oom(_, result) {
    const kills = result.records.filter(({ type }) => type === "oom");
    const pids = result.truth.get("pid") ?? [];
    const limits = ["cgroup", "parent"].map((name) => result.truth.get(name)?.[0]);
    if (pids.length !== 2) return ["the faults were not caused"];
    return pids.flatMap((pid, index) => {
      const own = kills.filter((kill) => String(kill["victim"].pid) === pid);
      const cgroup: unknown = own[0]?.["scope"].cgroup;
      if (own.length !== 1) return [`pid ${pid}: killed ${String(own.length)} times`];
      return cgroup === limits[index] ? [] : [`pid ${pid}: limit of ${String(cgroup)}`];
    });
  },
  retrans(summary, result) {
    const segments = truthOf(result, "segments");
    if (segments === 0) return ["nothing was sent again"];
    // Other namespaces of the machine send again, too.
    const ours = result.truth.get("netns") ?? [];
    const isOurs = ({ netns }: Row) => ours.includes(netns?.name);
    if (!hasTypes(result)) {
      // Then nobody knows a packet's namespace: connections by their address, segments by the kernel's own count.
      const flows = (summary["flows"] as Row[]).filter(
        (flow) => flow["source"] === "10.7.0.1" && flow["destinationPort"] === 5001,
      );
      const counted = (summary["counters"] as Row[])
        .filter((counter) => isOurs(counter) && counter["name"] === "TcpRetransSegs")
        .reduce((sum, { delta }) => sum + Number(delta), 0);
      if (flows.some((flow) => flow["segments"] !== null)) return ["segments that nobody can know"];
      // An emulated machine can be too slow to read the counters in time: then nothing is claimed.
      const isUnread = summary["retransmits"].segments === null && counted < segments;
      return flows.length > 0 && (counted === segments || isUnread)
        ? []
        : [
            `${String(flows.length)} flows, ${String(counted)} segments by the counter, not ${String(segments)}`,
          ];
    }
    const found = (summary["flows"] as Row[])
      .filter(isOurs)
      .reduce((sum, flow) => sum + Number(flow["segments"]), 0);
    return found === segments ? [] : [`${String(found)} segments, the kernel counted ${String(segments)}`];
  },
  // Between the two readings there is a little more than what was sampled; in an emulated machine much more (72 samples of 10.8 s seen).
  profile: (summary, result) => [
    ...atLeast("samples", summary["samples"].total, result.isEmulated ? 20 : truthOf(result, "ticks") * 0.6),
    ...atLeast("samples in user mode", summary["samples"].user, summary["samples"].total / 2),
  ],
  kthreads(summary, result) {
    if (!result.records.some(({ type }) => type === "ready")) return ["was never ready"];
    if (!result.isEmulated) return [];
    // Memory was short there, and one disk's worker busy. Between the two readings of the truth there is a little more than in the run.
    const kswapd = (summary["threads"] as Row[]).find(({ comm }) => comm === "kswapd0");
    const told = (summary["findings"] as Row[]).map(({ id }) => String(id));
    return [
      ...atLeast("s of kswapd", kswapd?.["cpuSeconds"] ?? 0, truthOf(result, "kswapd-ticks") * 0.006),
      ...["kswapd", "work-function"].filter((id) => !told.includes(id)).map((id) => `no finding ${id}`),
    ];
  },
};

function truthOf(result: StepResult, name: string): number {
  return Number(result.truth.get(name)?.[0] ?? Number.NaN);
}

/** False where trace said that this bpftrace cannot use the kernel's types. */
function hasTypes(result: StepResult): boolean {
  return !result.records.some(
    ({ type, ...fields }) =>
      type === "notice" && String(fields["message"]).startsWith("no kernel types (BTF)"),
  );
}

function atLeast(what: string, found: unknown, wanted: number): string[] {
  return Number(found) >= wanted ? [] : [`${String(found)} ${what}, at least ${String(wanted)} expected`];
}
