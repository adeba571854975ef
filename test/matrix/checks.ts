import { createRecordCheck } from "../support/schema.ts";
import type { Row } from "../support/recording.ts";
import { checkKills } from "./check-kills.ts";
import type { Step } from "./cases.ts";
import { hasTypes, truthOf, type StepResult } from "./step-result.ts";

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
  return [...new Set(broken)].slice(0, 5).concat(await COUNTS[step](last, result));
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

type Counts = (summary: Row, result: StepResult) => string[] | Promise<string[]>;

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
  oom: (_, result) => checkKills(result),
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
    const findings = summary["findings"] as Row[];
    const told = findings.map(({ id }) => String(id));
    const reclaim = findings.find(({ id }) => id === "kswapd");
    return [
      ...atLeast("s of kswapd", kswapd?.["cpuSeconds"] ?? 0, truthOf(result, "kswapd-ticks") * 0.006),
      ...atLeast("pages that programs looked at themselves", truthOf(result, "direct-pages"), 1),
      ...(reclaim === undefined || reclaim["severity"] === "problem"
        ? []
        : [`short memory is only ${String(reclaim["severity"])}`]),
      ...["kswapd", ...(truthOf(result, "loop-thread") > 0 ? [] : ["work-function"])]
        .filter((id) => !told.includes(id))
        .map((id) => `no finding ${id}`),
    ];
  },
};

function atLeast(what: string, found: unknown, wanted: number): string[] {
  return Number(found) >= wanted ? [] : [`${String(found)} ${what}, at least ${String(wanted)} expected`];
}
