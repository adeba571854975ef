import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readHostFacts, type HostFacts } from "../../src/host/facts.ts";
import { isAtLeast, parseVersion } from "../../src/host/version.ts";
import { runTool } from "../../src/launch/tool.ts";
import type { Options } from "../../src/probe/define.ts";
import { prepareProgram } from "../../src/probe/prepare.ts";
import { listProbes, loadProbe, readProgram } from "../../src/probe/registry.ts";
import { withReadySignal } from "../../src/session/ready.ts";

// The short slice of `npm run matrix`, on this kernel and with the bpftrace that is here: what each probe would give to
// the versions of the matrix, and that this one compiles it.
const VERSIONS = ["v0.11.3", "v0.17.0", "v0.23.2", "v0.27.0"];
const host = await readHostFacts({ run: runTool });
const folder = mkdtempSync(join(tmpdir(), "trace-matrix-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What this host would be with another bpftrace, or another kernel. */
function withVersion(version: string, kernel = host.kernel): HostFacts {
  const path = host.bpftrace?.path ?? "/usr/bin/bpftrace";
  return {
    ...host,
    kernel,
    // As on 5.10: modules that are loaded here have types of their own.
    moduleBtf: kernel === host.kernel && host.moduleBtf,
    bpftrace: { path, version, parsed: parseVersion(version), source: "path" },
  };
}

const probes = await Promise.all(
  (await listProbes()).map(async (found) => {
    const definition = await loadProbe(found);
    return { name: found.name, definition, template: await readProgram(found, definition) };
  }),
);

async function render(
  { definition, template }: (typeof probes)[number],
  facts: HostFacts,
  options: Options = {},
): Promise<string> {
  const { script } = await prepareProgram(definition, template, facts, { interval: 1, ...options });
  return withReadySignal(script);
}

const withoutComments = (script: string) => script.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");

/** Compiles without attaching; gives what bpftrace says against it. */
function compile(script: string): string {
  const path = join(folder, "program.bt");
  writeFileSync(path, script);
  const dryRun = isAtLeast(host.bpftrace?.parsed ?? null, 0, 21) ? "--dry-run" : "-d";
  const { status, stderr } = spawnSync(host.bpftrace?.path ?? "bpftrace", [dryRun, path], {
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  return status === 0 ? "" : `exit ${String(status)}: ${stderr}`;
}

test("there is a bpftrace to compile with", () => {
  expect(host.bpftraceProblem).toBeNull();
  expect(host.bpftrace?.parsed).toBeTruthy();
  expect(compile("BEGIN { nonsense(); }")).toContain("nonsense");
});

describe.each(probes)("$name", (probe) => {
  test.each(VERSIONS)("for %s: nothing that this version does not know", async (version) => {
    const parsed = parseVersion(version);
    const script = await render(probe, withVersion(version));
    const code = withoutComments(script);
    expect(script).not.toMatch(/\/\/#|\$\{/);
    // Maps that are read or cleared but never written: bpftrace refuses them.
    const written = new Set(
      [...code.matchAll(/(@\w+)(?:\[[^;{}]*?\])?\s*(?:=(?!=)|\+\+)/g)].map(([, map]) => map),
    );
    for (const [, map] of code.matchAll(/(?:clear|print)\((@\w+)\)/g)) expect(written).toContain(map);
    // Up to 0.11 there is no uptr(), and kernel types and tracepoint arguments do not go together.
    if (!isAtLeast(parsed, 0, 12)) expect(code).not.toMatch(/uptr\(|\(struct \w+ \*\)/);
    // ustack(raw) came with 0.18; `args.field` with 0.19.
    if (!isAtLeast(parsed, 0, 18)) expect(code).not.toMatch(/ustack\(raw\)/);
    expect(code).not.toMatch(/\bargs\.\w/);
    // 0.27.0 refuses every strncmp() ("expects a int literal (int provided)"); strcontains() is older than 0.24.
    if (isAtLeast(parsed, 0, 24)) expect(code).not.toMatch(/\bstrncmp\(/);
    else expect(code).not.toMatch(/\bstrcontains\(/);
  });

  test("for v0.17.0 on 5.10: none of the kernel's types, which it cannot use there", async () => {
    const kernel = { release: "5.10.0", version: parseVersion("5.10.0") };
    const { degraded } = await prepareProgram(
      probe.definition,
      probe.template,
      withVersion("v0.17.0", kernel),
      { interval: 1 },
    );
    if (["drops", "retrans", "oom", "profile"].includes(probe.name))
      expect(degraded.join()).toMatch(/no kernel types \(BTF\)|without kernel type information/);
    expect(withoutComments(await render(probe, withVersion("v0.17.0", kernel)))).not.toMatch(
      /\(struct \w+ \*\)/,
    );
    const code = withoutComments(await render(probe, withVersion("v0.23.2", kernel)));
    expect(code).toMatch(probe.name === "_template" ? /args/ : /\(struct \w+ \*\)/);
  });

  test("compiles here: its own program, and that of older versions", { timeout: 120_000 }, async () => {
    const own = host.bpftrace?.version ?? "";
    const older = VERSIONS.filter((version) => {
      const parsed = parseVersion(version);
      return parsed !== null && isAtLeast(host.bpftrace?.parsed ?? null, parsed.major, parsed.minor);
    });
    const programs = new Set<string>();
    for (const version of [...older, own]) programs.add(await render(probe, withVersion(version)));
    expect(programs.size).toBeGreaterThan(0);
    for (const program of programs) expect(compile(program)).toBe("");
  });
});
