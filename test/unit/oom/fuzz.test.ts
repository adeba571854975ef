import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OomReport } from "../../../probes/oom/record.ts";
import { summarise } from "../../../probes/oom/log/summarise.ts";
import type { KernelLine, KernelTime } from "../../../src/evidence/kernel-log/line.ts";
import { decode, listLogs, load, parse } from "./read.ts";

const LOGS = listLogs("dmesg", "recorded", "composed").map((name) => decode(load(name)));
const TEXTS = listLogs("dmesg", "recorded", "composed").map((name) => load(name).toString("latin1"));

/** Pids of the kill lines that a log holds. */
function killed(lines: readonly KernelLine[]): number[] {
  return lines.flatMap((line) => {
    const pid = /(?:^ ?|: )Killed process (\d+)/.exec(line.text)?.[1];
    return pid === undefined ? [] : [Number(pid)];
  });
}

function expectHonest(lines: readonly KernelLine[]): void {
  const { reports, notes } = parse(lines);
  const pids = killed(lines);
  const lineCount = lines.filter((line) => line.text.includes("Killed process")).length;
  expect(reports.length).toBeLessThanOrEqual(lineCount);
  expect(reports.filter((report) => report.victim.pid !== null && !pids.includes(report.victim.pid))).toEqual(
    [],
  );
  // Each victim once: the logs of one run have distinct pids, up to pids that two logs share.
  const named = reports.map((report) =>
    JSON.stringify([report.host, report.victim.pid, report.victim.comm, report.time]),
  );
  expect(new Set(named).size).toBe(named.length);
  const { kills, byCgroup } = summarise(reports, notes);
  expect(kills).toBe(reports.length);
  expect(Object.values(byCgroup).reduce((sum, count) => sum + count, 0)).toBe(kills);
}

const log = fc.nat(LOGS.length - 1);
const dice = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 300 });

/** The `index`-th throw; a short list repeats. */
function thrown(throws: readonly number[], index: number): number {
  return throws[index % throws.length] ?? 0;
}

describe("damaged logs never invent a kill", () => {
  it("with lines missing", () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(log, dice, fc.integer({ min: 0, max: 9 }), (which, throws, keep) => {
        expectHonest((LOGS[which] ?? []).filter((_, index) => thrown(throws, index) <= keep));
      }),
      { numRuns: 150 },
    );
  });

  it("with lines in any order", () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(log, dice, (which, throws) => {
        const keyed = (LOGS[which] ?? []).map((line, index) => ({ line, key: thrown(throws, index) }));
        expectHonest(keyed.toSorted((a, b) => a.key - b.key).map((entry) => entry.line));
      }),
      { numRuns: 100 },
    );
  });

  it("cut at any byte, and cut inside lines", () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(log, fc.nat(), fc.nat(), fc.nat(), (which, start, end, hole) => {
        const text = TEXTS[which] ?? "";
        const from = start % text.length;
        const to = from + (end % (text.length - from));
        const part = text.slice(from, to);
        const at = part.length === 0 ? 0 : hole % part.length;
        expectHonest(decode(Buffer.from(part.slice(0, at) + part.slice(at + 40), "latin1")));
      }),
      { numRuns: 200 },
    );
  });

  it("with bytes changed", () => {
    fc.assert(
      fc.property(log, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 40 }), (which, edits) => {
        const text = TEXTS[which] ?? "";
        const bytes = Buffer.from(text, "latin1");
        for (const [at, value] of edits) bytes[at % bytes.length] = value;
        const lines = decode(bytes);
        const { reports } = parse(lines);
        expect(reports.length).toBeLessThanOrEqual(
          lines.filter((line) => line.text.includes("Killed process")).length,
        );
      }),
      { numRuns: 150 },
    );
  });

  it("made of anything", () => {
    const scrap = fc.constantFrom(
      "Killed process ",
      "invoked oom-killer: ",
      "oom-kill:constraint=",
      "Out of memory: ",
      "[ 1] ",
      "\n",
      "(",
      ")",
      "Tasks in ",
      "memory: usage 1kB, limit 2kB, failcnt 3",
      "[  pid  ]   uid  tgid total_vm rss name",
      "Call Trace:",
      "Mem-Info:",
      "Memory cgroup stats for ",
      ",task=",
      ",pid=7,uid=0",
      " total-vm:1kB, anon-rss:1kB, file-rss:1kB",
      "<6>",
      "{",
      '"',
      "\u001b[31m",
    );
    const soup = fc.array(fc.oneof(scrap, fc.string({ unit: "binary", maxLength: 12 })), { maxLength: 60 });
    fc.assert(
      fc.property(soup, (parts) => {
        const lines = decode(parts.join(""));
        expect(parse(lines).reports.length).toBeLessThanOrEqual(
          lines.reduce((sum, line) => sum + line.text.split("Killed process ").length - 1, 0),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("read twice: nothing is counted again", () => {
    for (const lines of LOGS) {
      const once = parse(lines).reports.length;
      expect(parse([...lines, ...lines]).reports).toHaveLength(once);
      expect(parse(lines.flatMap((line) => [line, line])).reports.length).toBeLessThanOrEqual(once);
    }
  });
});

/** Single reports with different figures in every part. */
const SINGLES = [
  "dmesg/7.2-memcg.txt",
  "recorded/6.12-v2-parent.txt",
  "recorded/6.12-v2-swap.txt",
  "recorded/6.18-v1-shmem.txt",
  "recorded/6.12-sysrq.txt",
  "composed/4.19-docker-memcg.composed.txt",
  "composed/4.19-host-child.composed.txt",
  "composed/5.4-memcg-v1.composed.txt",
  "composed/6.6-arm64-64k.composed.txt",
].map((name) => {
  const lines = decode(load(name));
  const [report] = parse(lines).reports;
  if (report === undefined) throw new Error(`${name} has no kill`);
  return { lines, report, split: report.tasks[0]?.anonBytes !== null };
});

function json(value: object | null | undefined): string | null {
  return value == null ? null : JSON.stringify(value);
}

/** The parts of a report that another report's lines could falsify. */
function claims(report: OomReport): Record<string, unknown> {
  const { scope, invoker, victim, tasks, stack, memory, hostMemory } = report;
  return {
    kind: scope.kind,
    cgroup: scope.cgroup,
    limit: scope.limitBytes,
    usage: scope.usageBytes,
    failcnt: scope.failcnt,
    invoker: invoker.pid,
    asked: invoker.comm,
    mask: invoker.gfpMask,
    adj: invoker.oomScoreAdj,
    home: victim.cgroup,
    uid: victim.uid,
    comm: victim.comm,
    swap: victim.swapBytes,
    tables: victim.pageTableBytes,
    tasks: tasks.length === 0 ? null : JSON.stringify(tasks),
    stack: stack === null ? null : stack.join(";"),
    anon: memory?.stats?.anonBytes ?? null,
    cgroupSwap: json(memory?.swap),
    memorySwap: json(memory?.memorySwap),
    kmem: json(memory?.kernel),
    host: json(hostMemory),
  };
}

type Clock = (line: KernelLine, index: number) => KernelTime | null;
const CLOCKS: Record<string, Clock> = {
  none: () => null,
  one: () => ({ kind: "monotonic", seconds: 100 }),
  running: (_, index) => ({ kind: "monotonic", seconds: 100 + index * 1e-5 }),
};

function retime(line: KernelLine, index: number, clock: Clock): KernelLine {
  return { time: clock(line, index), host: null, text: line.text };
}

/** FUZZ=40000 vitest … looks longer. */
const RUNS = Number(process.env["FUZZ"] ?? 200);

describe("two reports printed into each other", () => {
  // One host runs one kernel: both reports have the same columns.
  const pairs = SINGLES.flatMap((a, first) =>
    SINGLES.flatMap((b, second) => (a !== b && a.split === b.split ? [[first, second] as const] : [])),
  );

  it.each(Object.entries(CLOCKS))("never lends one the figures of the other (clock: %s)", (_, clock) => {
    fc.assert(
      fc.property(
        fc.constantFrom(...pairs),
        dice,
        fc.integer({ min: 1, max: 30 }),
        ([first, second], throws, block) => {
          const [a, b] = [SINGLES[first], SINGLES[second]];
          if (a === undefined || b === undefined) throw new Error("no such pair");
          const queues = [[...a.lines], [...b.lines]] as [KernelLine[], KernelLine[]];
          const mixed: KernelLine[] = [];
          for (let turn = 0; queues[0].length > 0 || queues[1].length > 0; turn += 1) {
            const side = turn >= 2000 ? turn % 2 : thrown(throws, turn) % 2;
            mixed.push(...queues[side === 0 ? 0 : 1].splice(0, block));
          }
          const { reports } = parse(mixed.map((line, index) => retime(line, index, clock)));
          expect(new Set(reports.map((report) => report.victim.pid))).toEqual(
            new Set([a.report.victim.pid, b.report.victim.pid]),
          );
          expect(reports).toHaveLength(2);
          for (const report of reports) {
            const truth = claims(report.victim.pid === a.report.victim.pid ? a.report : b.report);
            const lies = Object.entries(claims(report)).filter(
              ([name, claim]) => claim !== null && claim !== truth[name],
            );
            expect(lies).toEqual([]);
          }
        },
      ),
      { numRuns: RUNS },
    );
  });

  it("keeps to what is named when the kernel says that lines are lost", () => {
    const [a, b] = [SINGLES[0], SINGLES[1]];
    if (a === undefined || b === undefined) throw new Error("no reports");
    const lost: KernelLine = { time: null, host: null, text: "** 97 printk messages dropped **" };
    const { reports } = parse([...a.lines.slice(0, 20), lost, ...b.lines.slice(-2)]);
    expect(
      reports.map((report) => [report.victim.pid, report.scope.cgroup, report.invoker.pid, report.stack]),
    ).toEqual([[b.report.victim.pid, b.report.scope.cgroup, null, null]]);
  });

  it("loses nothing when other lines of the kernel are between", () => {
    const noise = fc.constantFrom(
      "EXT4-fs (vda): mounted filesystem",
      "usb 1-1: new high-speed USB device",
      "audit: type=1400 audit(1.0:1): apparmor",
      "nf_conntrack: table full, dropping packet",
      "TCP: request_sock_TCP: Possible SYN flooding on port 80",
    );
    fc.assert(
      fc.property(
        fc.nat(SINGLES.length - 1),
        fc.array(fc.option(noise, { freq: 2 }), { minLength: 1 }),
        (which, extra) => {
          const { lines, report } = SINGLES[which] ?? { lines: [], report: null };
          const mixed = lines.flatMap((line, index): KernelLine[] => {
            const text = extra[index % extra.length] ?? null;
            return text === null ? [line] : [line, { ...line, text }];
          });
          expect(parse(mixed).reports.map(claims)).toEqual(report === null ? [] : [claims(report)]);
        },
      ),
      { numRuns: 100 },
    );
  });
});
