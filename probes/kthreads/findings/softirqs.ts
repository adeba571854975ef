import { explainSoftirq } from "../../../src/catalogue/load.ts";
import { quoteShell } from "../../../src/text/escape.ts";
import { formatCount, formatRate, plural } from "../../../src/text/format.ts";
import type { DeviceRow, ReceiverRow, VectorRow } from "../work.ts";
import { makeFinding, sum, type Find, type FindingInput } from "./shared.ts";

/** ksoftirqd runs only what interrupts left over: at a quarter of a CPU there is a reason, at 60 % the CPU is about to be full. */
const NOTED = 25;
const PROBLEM = 60;
/** Parts of a whole below this are left out of the evidence. */
const WORTH_A_WORD = 0.05;

/** A ksoftirqd that takes a CPU: by which vector, from which device. */
export const findSoftirqs: Find = (input, told) => {
  const { threads, work, seconds } = input;
  const all = threads.filter((thread) => thread.described?.name === "ksoftirqd");
  return all
    .filter((thread) => thread.cpuPercent >= NOTED)
    .map((thread) => {
      told.add(thread);
      const cpu = Number(thread.described?.captures["cpu"] ?? NaN);
      const rows = work.vectors.filter((row) => row.cpu === cpu).sort((a, b) => b.own - a.own);
      const top = rows[0] ?? null;
      const own = sum(rows.map((row) => row.own));
      const share = top === null || own === 0 ? 0 : top.own / own;
      const quiet = all.filter((other) => other.cpuPercent < NOTED / 5).length;
      const entry = top === null ? null : explainSoftirq(top.vector);
      const network = top?.vector === "NET_RX" ? describeReceive(input) : null;
      const percent = `${thread.cpuPercent.toFixed(0)} %`;
      const what = top === null ? "" : `, nearly all of it ${top.vector}`;
      return makeFinding({
        id: "ksoftirqd",
        severity: thread.cpuPercent >= PROBLEM ? "problem" : "suspicious",
        summary: `${thread.name} takes ${percent} of CPU ${cpu}${share > 0.8 ? what : top === null ? "" : `, most of it ${top.vector}`}${network?.short ?? ""}: that CPU cannot keep up with its interrupts`,
        count: thread.samples,
        evidence: [
          ...rows.filter((row) => row.own >= WORTH_A_WORD * own).map((row) => describeVector(row, seconds)),
          ...(network?.evidence ?? []),
          ...(quiet > 0 && all.length > 1
            ? [`ksoftirqd of ${plural(quiet, "other CPU")} is idle: the work is not spread`]
            : []),
          ...(entry === null ? [] : [entry.busyMeans]),
        ],
        check: [...(network?.check ?? []), ...(entry?.check ?? ["cat /proc/softirqs"])],
        fix: network?.fix ?? [],
      });
    });
};

function describeVector(row: VectorRow, seconds: number): string {
  const rate = seconds > 0 ? ` (${formatRate(row.ownCount / seconds)}/s)` : "";
  return `${row.vector} ran ${row.own.toFixed(2)} s in ksoftirqd${rate} and ${row.other.toFixed(2)} s outside of it on CPU ${row.cpu}`;
}

interface Receive {
  readonly short: string;
  readonly evidence: readonly string[];
  readonly check: readonly string[];
  readonly fix: readonly string[];
}

/** Devices named in one sentence; the evidence has all that are worth a word. */
const MOST_NAMED = 2;

/** Which devices the packets came from, most packets first, and how to spread them over CPUs. */
function describeReceive(input: FindingInput): Receive {
  const { work, seconds } = input;
  const rows = work.devices.filter((row) => row.own > 0).sort((a, b) => b.own - a.own);
  const told = rows.filter((row) => row.own >= WORTH_A_WORD * (rows[0]?.own ?? 0));
  if (told.length === 0) return describeBacklog(input, "");
  const parts = told.map((row) => {
    const perSecond = seconds <= 0 ? "" : ` (${formatRate(row.packets / seconds)} packets/s)`;
    return row.device === null
      ? describeBacklog(input, perSecond)
      : describeDevice(row, row.device, input.cpus, perSecond);
  });
  const named = parts.slice(0, MOST_NAMED).map(({ short }) => short);
  return {
    short: named.join(" and"),
    evidence: parts.flatMap(({ evidence }) => evidence),
    check: parts.flatMap(({ check }) => check),
    fix: parts.flatMap(({ fix }) => fix),
  };
}

function describeDevice(row: DeviceRow, name: string, cpus: number, perSecond: string): Receive {
  const device = quoteShell(name);
  return {
    short: ` from ${name}${perSecond}`,
    evidence: [
      `${name}: ${formatCount(row.packets)} packets in ${plural(row.polls, "poll")}, ${formatCount(row.full)} of them used up their budget`,
    ],
    check: [
      `grep ${device} /proc/interrupts`,
      `ethtool -l ${device}`,
      `grep . /sys/class/net/${device}/queues/rx-*/rps_cpus`,
    ],
    fix: [
      `ethtool -L ${device} combined ${cpus}   # more receive queues, where the card has them`,
      `for q in /sys/class/net/${device}/queues/rx-*; do echo ${cpuMask(cpus)} > $q/rps_cpus; done   # else spread by software (RPS)`,
    ],
  };
}

/** Packets of the CPU's own queue have no device: of the interfaces that are not polled themselves the one that received most is named. */
function describeBacklog({ work, seconds, cpus }: FindingInput, perSecond: string): Receive {
  const polled = new Set(work.devices.map(({ device }) => device));
  const virtual = work.receivers.filter(({ netns, device }) => netns !== null || !polled.has(device));
  const receivers = virtual.length > 0 ? virtual : work.receivers;
  const [busiest] = receivers;
  return {
    short: `${busiest === undefined ? "" : ` from ${busiest.device}`}${perSecond}`,
    evidence: [
      "the packets came by the backlog queue, which virtual devices (veth, lo, tunnels) and RPS use",
      ...receivers
        .slice(0, 3)
        .filter((row) => row.packets >= WORTH_A_WORD * (busiest?.packets ?? 0))
        .map((row) => describeReceiver(row, seconds)),
    ],
    check:
      busiest === undefined
        ? []
        : [`${netnsPrefix(busiest)}grep . /sys/class/net/${quoteShell(busiest.device)}/queues/rx-*/rps_cpus`],
    fix:
      busiest === undefined
        ? []
        : [
            `${netnsPrefix(busiest)}sh -c 'for q in /sys/class/net/${quoteShell(busiest.device)}/queues/rx-*; do echo ${cpuMask(cpus)} > $q/rps_cpus; done'   # spread by software (RPS)`,
          ],
  };
}

function describeReceiver({ netns, device, packets }: ReceiverRow, seconds: number): string {
  const rate = seconds > 0 ? ` (${formatRate(packets / seconds)}/s)` : "";
  return `${device}${netns === null ? "" : ` in namespace "${netns}"`} received ${formatCount(packets)} packets${rate}`;
}

function netnsPrefix({ netns }: ReceiverRow): string {
  return netns === null ? "" : `ip netns exec ${quoteShell(netns)} `;
}

/** All CPUs as /sys/…/rps_cpus takes them: hexadecimal, groups of 32 bits. */
export function cpuMask(cpus: number): string {
  const groups: string[] = [];
  for (let left = cpus; left > 0; left -= 32)
    groups.unshift((left >= 32 ? 0xffffffff : 2 ** left - 1).toString(16));
  return groups.join(",");
}
