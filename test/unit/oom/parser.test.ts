import { describe, expect, it } from "vitest";
import gfp from "../../../probes/oom/gfp.json" with { type: "json" };
import { createOomParser } from "../../../probes/oom/log/parse.ts";
import type { OomReport } from "../../../probes/oom/record.ts";
import type { KernelLine } from "../../../src/evidence/kernel-log/line.ts";
import { decode, listLogs, load, only, parse, parseFixture } from "./read.ts";

const A = decode(load("dmesg/7.2-memcg.txt"));
const B = decode(load("recorded/6.12-v2-swap.txt"));

function withoutHost(report: OomReport): OomReport {
  return { ...report, host: null };
}

describe("the parser as a stream", () => {
  it("keeps the reports of two hosts in one log apart", () => {
    const mixed: KernelLine[] = [];
    for (let index = 0; index < Math.max(A.length, B.length); index += 1) {
      for (const [host, lines] of [
        ["a", A],
        ["b", B],
      ] as const) {
        const line = lines[index];
        if (line !== undefined) mixed.push({ ...line, host });
      }
    }
    const { reports } = parse(mixed);
    expect(new Set(reports.map((report) => report.host))).toEqual(new Set(["a", "b"]));
    expect(withoutHost(only(reports.filter((report) => report.host === "a")))).toEqual(
      only(parse(A).reports),
    );
    expect(withoutHost(only(reports.filter((report) => report.host === "b")))).toEqual(
      only(parse(B).reports),
    );
  });

  it("gives a kill up at once when the log goes quiet, and only once", () => {
    const parser = createOomParser();
    expect(A.flatMap((line) => parser.push(line))).toEqual([]);
    expect(only(parser.flush()).victim.pid).toBe(566);
    expect([...parser.flush(), ...parser.end()]).toEqual([]);
  });

  it("gives kills in the order of the log, none later than two seconds after", () => {
    const parser = createOomParser();
    const lines = decode(load("recorded/6.12-v2-storm.txt"));
    const seen = lines.flatMap((line) => parser.push(line));
    // "after" came six seconds later: all before it are out.
    expect(seen.at(-1)?.victim.comm).toBe("storm25");
    const times = seen.map((report) => report.monotonic ?? 0);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it("takes a report whose beginning was overwritten for what is left of it", () => {
    for (const from of [5, 40, 100, A.length - 3]) {
      const report = only(parse(A.slice(from)).reports);
      expect(report.scope.cgroup).toBe("/job");
      expect([report.complete, report.invoker.pid, report.missing.includes("header")]).toEqual([
        false,
        null,
        true,
      ]);
    }
  });

  it("does not give a bare kill the rest of an older report", () => {
    const kill: KernelLine = {
      time: { kind: "monotonic", seconds: 200 },
      host: null,
      text: "Memory cgroup out of memory: Killed process 9 (x) total-vm:4kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB",
    };
    const { reports, notes } = parse([...A.slice(0, 40), kill]);
    expect(only(reports)).toMatchObject({
      victim: { pid: 9 },
      scope: { kind: "memcg", cgroup: null },
      invoker: { pid: null },
    });
    expect(notes.incidents).toMatchObject([{ kind: "cut", invoker: { pid: 566 } }]);
  });

  it("says where the pid of a bare kill was listed, and does not claim it", () => {
    const many = decode(load("recorded/6.18-v1-many.txt"));
    const last = many.findLast((line) => line.text.includes("Killed process"));
    const bare: KernelLine = {
      time: { kind: "monotonic", seconds: 1530 },
      host: null,
      text: (last?.text ?? "").replace("1477", "1478"),
    };
    const report = parse([...many, bare]).reports.at(-1);
    expect([report?.victim.pid, report?.scope.cgroup, report?.likelyCgroup]).toEqual([1478, null, "/job-v1"]);
  });

  it("bounds a report that never ends", () => {
    const header = "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name";
    const row = (index: number): string =>
      `[${String(index).padStart(7)}]     0 ${String(index)}  9000  ${String(index)}  4096  0  0 p`;
    const texts = ["a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0", header];
    for (let index = 1; index <= 50_000; index += 1) texts.push(row(index));
    texts.push(
      "Out of memory: Killed process 50000 (p) total-vm:36000kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB",
    );
    const report = only(parse(texts.map((text) => ({ time: null, host: null, text }))).reports);
    expect(report.tasks.length + report.tasksDropped).toBe(50_000);
    expect(report.tasks.length).toBeLessThanOrEqual(32_768);
    expect(report.tasks[0]?.pid).toBe(50_000);
  });
});

describe("gfp.json", () => {
  it("knows every flag of the recorded reports", () => {
    const known = new Set([...Object.keys(gfp.masks), ...Object.keys(gfp.flags), ...gfp.silent]);
    const seen = listLogs("dmesg", "recorded", "composed").flatMap((name) =>
      parseFixture(name).reports.flatMap((report) => report.gfpFlags),
    );
    expect(seen.length).toBeGreaterThan(20);
    expect(seen.filter((flag) => !known.has(flag))).toEqual([]);
  });
});
