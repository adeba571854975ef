import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { listGaps } from "../../../src/reduce/gaps.ts";
import { runTrace } from "../../support/capture.ts";
import { makeNetwork } from "../diagnose/support.ts";

test("what could not be read is told once for each reason, with the namespaces it concerns", () => {
  const without = (name: string, ...missing: { what: string; why: string }[]) =>
    makeNetwork({ name, delta: { missing } });
  const networks = [
    without("a", { what: "nft -j", why: "not installed" }, { what: "nft -a", why: "not installed" }),
    without(
      "b",
      { what: "nft -j", why: "not installed" },
      { what: "/proc/net", why: "took longer than 2 s" },
    ),
    ...["c", "d", "e", "f"].map((name) =>
      without(name, { what: "configuration", why: "the time for all namespaces (5 s) was over" }),
    ),
  ];
  expect(listGaps(networks).map(({ level, message }) => `${level}: ${message}`)).toEqual([
    "info: nft is not installed: its evidence is missing; trace doctor names the package",
    "warning: counters, rules and settings of namespace b could not be read: took longer than 2 s",
    "warning: rules and settings of namespaces c, d, e and 1 more could not be read: the time for all namespaces (5 s) was over",
  ]);
  expect(listGaps([makeNetwork()])).toEqual([]);
});

test("questions that the machine did not answer in time are told, and so is a hostile recording's list of them", async () => {
  const folder = await mkdtemp(join(tmpdir(), "trace-gaps-"));
  try {
    const file = new URL("../../../fixtures/diagnose/closed-port-6.18.trace.gz", import.meta.url).pathname;
    const lines = gunzipSync(await readFile(file))
      .toString()
      .trimEnd()
      .split("\n");
    const [kind, at, end] = JSON.parse(lines.at(-1) ?? "") as [string, number, object];
    expect(kind).toBe("x");
    const replay = async (unanswered: unknown, kept: readonly string[] = lines.slice(0, -1)) => {
      const path = join(folder, "cut.trace.gz");
      const last = JSON.stringify([kind, at, { ...end, unanswered }]);
      await writeFile(path, gzipSync([...kept, last, ""].join("\n")));
      const { code, stdout } = await runTrace("replay", path, "--no-profile", "--format", "json");
      expect(code).toBe(0);
      return stdout;
    };
    expect(await replay(["network", "owner"])).toContain(
      "this machine did not say in time what its counters, rules and settings are",
    );
    // No answer at all, an empty one, and both: each is told, once.
    const isAfter = (line: string) => /^\["f",[\d.]+,"network","after",/.test(line);
    const without = lines.slice(0, -1).filter((line) => !isAfter(line));
    expect(without).toHaveLength(lines.length - 2);
    const empty = [...without, JSON.stringify(["f", at, "network", "after", null])];
    for (const [unanswered, kept] of [
      [["network"], without],
      [undefined, empty],
      [["network"], empty],
    ] as const)
      expect((await replay(unanswered, kept)).match(/did not say in time [^:]*/g)).toEqual([
        "did not say in time what its counters, rules and settings are, without which there are no findings",
      ]);
    for (const odd of ["network", 7, null, [7, {}]]) expect(await replay(odd)).not.toContain("in time");
  } finally {
    await rm(folder, { recursive: true });
  }
});
