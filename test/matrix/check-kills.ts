import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { runTrace } from "../support/capture.ts";
import type { Row } from "../support/recording.ts";
import { withoutKernelLog } from "../support/without-log.ts";
import { hasTypes, type StepResult } from "./step-result.ts";

/** The limit of both cgroups of guest.sh. */
const LIMIT = 40 * 1024 ** 2;
/** How far the use that is told may lie below it: the kernel counts in batches of 64 pages for each CPU. */
const BATCH = 2 ** 20;

/** Each process that guest.sh had killed is one record, with the facts that are the same on every kernel. */
export async function checkKills(result: StepResult): Promise<string[]> {
  const kills = result.records.filter(({ type }) => type === "oom");
  const pids = result.truth.get("pid") ?? [];
  const limits = ["cgroup", "parent"].map((name) => result.truth.get(name)?.[0] ?? "");
  const [host] = result.truth.get("host") ?? [];
  if (pids.length !== 2 || (result.isEmulated && host === undefined)) return ["the faults were not caused"];
  const expected = [
    ...pids.map((pid, index) => ({ pid, kind: "memcg", cgroup: limits[index] ?? "" })),
    ...(host === undefined ? [] : [{ pid: host, kind: "host", cgroup: null }]),
  ];
  const wrong = expected.flatMap((kill) => checkKill(kill, kills));
  return wrong.length > 0 || !hasKprobe(result)
    ? wrong
    : compareWithoutLog(kills, await replayWithoutLog(result.recording));
}

interface Expected {
  readonly pid: string;
  readonly kind: string;
  readonly cgroup: string | null;
}

function checkKill({ pid, kind, cgroup }: Expected, kills: readonly Row[]): string[] {
  const own = kills.filter((kill) => String(kill["victim"].pid) === pid);
  const [kill] = own;
  if (kill === undefined || own.length > 1) return [`pid ${pid}: killed ${String(own.length)} times`];
  const { scope, invoker, stack } = kill;
  const problems: string[] = [];
  if (scope.kind !== kind || scope.cgroup !== cgroup)
    problems.push(`${String(scope.kind)} limit of ${String(scope.cgroup)}`);
  if (kind === "memcg" && !(scope.limitBytes === LIMIT && Math.abs(LIMIT - scope.usageBytes) < BATCH))
    problems.push(`${String(scope.usageBytes)} of ${String(scope.limitBytes)} bytes`);
  if (kind === "host" && scope.limitBytes !== null) problems.push(`the host has a limit`);
  // A process's own page, whoever asked for it.
  if (kind === "memcg" && (kill["order"] !== 0 || invoker.order !== 0))
    problems.push(`order ${String(kill["order"])}`);
  if (!/^0x[0-9a-f]+$/.test(String(invoker.gfpMask))) problems.push(`mask ${String(invoker.gfpMask)}`);
  if (!String(stack).includes("oom_kill_process")) problems.push("no stack");
  return problems.map((problem) => `pid ${pid}: ${problem}`);
}

/** Whether the program had the request itself: this kernel has kprobes, this bpftrace the kernel's types. */
function hasKprobe(result: StepResult): boolean {
  const session = result.records.find(({ type }) => type === "session");
  return session?.["capabilities"].kprobes === true && hasTypes(result);
}

/** The kills of a recording by the events alone. */
async function replayWithoutLog(recording: string): Promise<Row[]> {
  const path = `${recording}.events.gz`;
  writeFileSync(path, withoutKernelLog(readFileSync(recording)));
  const { stdout } = await runTrace("replay", path, "--format", "json", "--no-profile");
  rmSync(path);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Row)
    .filter(({ type }) => type === "oom");
}

/** The kernel prints its report out of the same structure: what the kprobe reads there has to be what the log said. */
function compareWithoutLog(kills: readonly Row[], alone: readonly Row[]): string[] {
  if (alone.length !== kills.length)
    return [`${String(alone.length)} kills by the events alone, ${String(kills.length)} with the log`];
  return kills.flatMap((kill) => {
    const { pid } = kill["victim"];
    const event = alone.find(({ victim }) => victim.pid === pid);
    const told = sayRequest(event);
    const printed = sayRequest(kill);
    return told === printed ? [] : [`pid ${String(pid)}: the kprobe tells ${told}, the log ${printed}`];
  });
}

function sayRequest(kill: Row | undefined): string {
  if (kill === undefined) return "nothing";
  const { scope, invoker } = kill;
  return `${String(scope.kind)}, ${String(scope.usageBytes)} of ${String(scope.limitBytes)} bytes, order ${String(invoker.order)}, mask ${String(invoker.gfpMask)}`;
}
