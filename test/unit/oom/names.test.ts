import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseChosen, parseKillLine } from "../../../probes/oom/log/kill-line.ts";
import { parseRow } from "../../../probes/oom/log/task-table.ts";
import { decode, only, parse } from "./read.ts";

// Pieces that look like the kernel's own text; a comm has at most 15 bytes, a cgroup name no newline and no slash.
const PIECES = [
  ",task=",
  ",pid=1",
  ",uid=0",
  ")",
  "(",
  ") total-vm:",
  ",task_memcg=",
  ",",
  "=",
  " ",
  "a",
  "9",
  "[ 1]",
  "\\",
  "\t",
  "é",
  "🐧",
];
const comm = fc
  .array(fc.constantFrom(...PIECES, "\n"), { minLength: 1, maxLength: 8 })
  .map((parts) => parts.join(""))
  .filter((text) => Buffer.byteLength(text) <= 15);
const name = fc
  .array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join(""));
const cgroup = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join("/")}`);

describe("names hold anything", () => {
  it("a kill line gives back its comm and figures", () => {
    fc.assert(
      fc.property(comm, fc.nat(4_000_000), fc.nat(), (text, pid, size) => {
        const tail = `${String(pid)} (${text}) total-vm:${String(size)}kB, anon-rss:1kB, file-rss:2kB, shmem-rss:3kB, UID:4 pgtables:5kB oom_score_adj:-6`;
        expect(parseKillLine(tail)).toEqual({
          pid,
          comm: text,
          uid: 4,
          totalVmBytes: size * 1024,
          anonRssBytes: 1024,
          fileRssBytes: 2048,
          shmemRssBytes: 3072,
          pageTableBytes: 5120,
          oomScoreAdj: -6,
        });
      }),
    );
  });

  it("a summary line gives back its comm and pid, whatever the names", () => {
    fc.assert(
      fc.property(comm, cgroup, cgroup, fc.nat(4_000_000), (text, limit, below, pid) => {
        const line = `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0-1,3,oom_memcg=${limit},task_memcg=${limit}${below},task=${text},pid=${String(pid)},uid=7`;
        const chosen = parseChosen(line, "CONSTRAINT_MEMCG", text);
        expect([chosen.pid, chosen.uid]).toEqual([pid, 7]);
        // With ",task_memcg=" inside a name the line can be read in two ways that both fit the kernel's rules.
        fc.pre(!`${limit}${below}`.includes(",task_memcg="));
        expect([chosen.comm, chosen.oomCgroup, chosen.taskCgroup]).toEqual([text, limit, `${limit}${below}`]);
      }),
    );
  });

  it("a task row gives back its comm, digits first included", () => {
    const columns = ["uid", "tgid", "total_vm", "rss", "pgtables_bytes", "swapents", "oom_score_adj"];
    fc.assert(
      fc.property(fc.oneof(comm, fc.constantFrom("1 2 3", " 7", "")), fc.nat(4_000_000), (text, pid) => {
        const row = `[${String(pid).padStart(7)}]     0 ${String(pid)}    79223    16441   184320        0          -999 ${text}`;
        expect(parseRow(row, columns)).toMatchObject({ pid, comm: text });
        expect(parseRow(row, columns)?.values.get("oom_score_adj")).toBe(-999);
      }),
    );
  });

  it("a cut kill line is a kill of what is readable", () => {
    const whole =
      "Out of memory: Killed process 1234 (my app) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB";
    const victims = [30, 32, 34, 37, 43, 60].map(
      (length) => only(parse(decode(whole.slice(0, length))).reports).victim,
    );
    expect(victims.map((victim) => [victim.pid, victim.comm, victim.totalVmBytes])).toEqual([
      [null, null, null],
      [null, null, null],
      [null, null, null],
      [1234, null, null],
      [1234, "my app", null],
      [1234, "my app", 8192],
    ]);
  });

  it("reads the forms of older kernels", () => {
    expect(
      parseKillLine("215701, UID 679, (java) total-vm:11017300kB, anon-rss:7152432kB, file-rss:1232kB"),
    ).toMatchObject({
      pid: 215701,
      uid: 679,
      comm: "java",
      anonRssBytes: 7152432 * 1024,
      shmemRssBytes: null,
    });
    expect(parseKillLine("2592 (mysql).")).toMatchObject({ pid: 2592, comm: "mysql", totalVmBytes: null });
  });
});
