import { describe, expect, it } from "vitest";
import { parseEvent } from "../../../probes/oom/events.ts";
import { createSigkillWatch } from "../../../probes/oom/sigkill-watch.ts";
import { createSigkillBook } from "../../../probes/oom/sigkills.ts";

const MIB = 1024 ** 2;
const samples = { last: (pid: number) => (pid === 812 ? { comm: "java", rssBytes: 900 * MIB } : null) };
const sender = (comm: string) => ({ pid: 77, comm });

describe("SIGKILLs that are not the kernel's", () => {
  it("reads the records of the program", () => {
    expect(parseEvent("U\t5\t77\t812\tcontainerd\tx", 4096)).toEqual({
      kind: "sigkill",
      sender: sender("containerd\tx"),
      pid: 812,
    });
    expect(parseEvent("X\t812\tjava", 4096)).toEqual({ kind: "target", pid: 812, comm: "java" });
    expect(parseEvent("S\t40", 4096)).toEqual({ kind: "skipped", count: 40 });
  });

  it("a guard is told by its name, one kill for all its signals", () => {
    const watch = createSigkillWatch(samples);
    watch.name(812, "java");
    expect(watch.sent(sender("earlyoom"), 812, 1)).toBe(true);
    expect(watch.sent(sender("earlyoom"), 812, 1.1)).toBe(false);
    const facts = { cgroup: "/shop", uid: 7, oomScoreAdj: 0, comm: "java" };
    const told = watch.task(812, facts);
    expect(told).toEqual({
      at: 1,
      kill: {
        sender: sender("earlyoom"),
        target: { pid: 812, comm: "java", uid: 7, cgroup: "/shop", rssBytes: 900 * MIB },
        guard: true,
      },
    });
    expect(watch.task(812, facts)).toBeNull();
    const book = createSigkillBook();
    if (told !== null) book.add(told.kill);
    expect([book.guards, book.others, book.line()]).toEqual([1, 0, null]);
    expect(book.findings(null)).toMatchObject([
      { id: "userspace-killer", evidence: ["SIGKILL from earlyoom to java (812), 900 MiB in /shop"] },
    ]);
  });

  it("other programs' are a line of the report, a finding only for much memory", () => {
    const book = createSigkillBook();
    const watch = createSigkillWatch(samples);
    for (const pid of [900, 901, 812]) watch.sent(sender("bash"), pid, 1);
    for (const { kill } of watch.end()) book.add(kill);
    book.skip(5);
    expect(book.others).toBe(8);
    expect(book.line()).toBe(
      "8 SIGKILLs came from processes, not from the kernel's OOM killer: bash → an unknown process ×2, bash → java",
    );
    expect(book.findings(100_000 * MIB)).toEqual([]);
    expect(book.findings(1000 * MIB)).toMatchObject([{ id: "sigkill-by-process", severity: "info" }]);
  });
});
