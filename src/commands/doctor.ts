import { Option, type Command } from "commander";
import { EXIT } from "../error.ts";
import type { Check } from "../host/check.ts";
import { canTraceDrops, checkHost } from "../host/doctor.ts";
import { readDoctorInput, type DoctorInput } from "../host/doctor-input.ts";
import { readHostFacts, type FactsOptions, type HostFacts } from "../host/facts.ts";
import type { RunTool } from "../host/run-tool.ts";
import { runTool } from "../launch/tool.ts";
import { fixHost } from "./doctor-fix.ts";
import { renderDoctor } from "./doctor-table.ts";
import type { CommandIo } from "./io.ts";

interface DoctorOptions {
  readonly fix?: true;
  readonly format: "text" | "json";
  readonly bpftrace?: string;
}

/** The streams and the exit code; a test gives its own. */
export type DoctorIo = Pick<CommandIo, "color" | "width" | "exit"> & {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
};

/** How the machine is reached; a test replaces it. */
export interface DoctorHost {
  readonly run: RunTool;
  readonly env: NonNullable<FactsOptions["env"]> & { readonly TRACE_NO_INSTALL?: string | undefined };
  readonly root?: string;
}

/** Adds `trace doctor`. Exit 0 when `trace drops` can run here, else 3. */
export function addDoctorCommand(
  program: Command,
  io: DoctorIo,
  host: DoctorHost = { run: runTool, env: process.env },
): void {
  program
    .command("doctor")
    .summary("what works on this machine, what does not, and the command that repairs it")
    .description(
      "Shows what works on this machine, what does not, and the command that repairs it. " +
        "--fix mounts tracefs (and debugfs, for bpftrace 0.11) and installs bpftrace, and nothing else.",
    )
    .option("--fix", "mount tracefs and install bpftrace where they are missing")
    .addOption(
      new Option("--format <format>", "json: one record a line (NDJSON)")
        .choices(["text", "json"])
        .default("text"),
    )
    .option("--bpftrace <path>", "which bpftrace (also TRACE_BPFTRACE)")
    .action(async (options: DoctorOptions) => {
      await runDoctor(options, io, host);
    });
}

async function runDoctor(options: DoctorOptions, io: DoctorIo, host: DoctorHost): Promise<void> {
  let seen = await examine(options, host);
  if (options.fix === true) {
    await fixHost(seen.checks, {
      isRoot: seen.facts.isRoot,
      osRelease: seen.input.osRelease,
      env: host.env,
      run: host.run,
      say: (line) => void io.stderr.write(`trace doctor: ${line}\n`),
    });
    seen = await examine(options, host);
  }
  const { facts, checks } = seen;
  const text = options.format === "json" ? renderRecords(facts, checks) : renderDoctor(checks, io);
  io.stdout.write(text);
  io.exit(canTraceDrops(checks) ? EXIT.ok : EXIT.host);
}

async function examine(
  options: DoctorOptions,
  host: DoctorHost,
): Promise<{ facts: HostFacts; input: DoctorInput; checks: Check[] }> {
  const facts = await readHostFacts({
    run: host.run,
    env: host.env,
    bpftracePath: options.bpftrace ?? null,
    ...(host.root === undefined ? {} : { root: host.root }),
  });
  const input = await readDoctorInput(facts, host.env);
  return { facts, input, checks: checkHost(facts, input) };
}

/** One `check` record per row, then the `summary` (docs/records.md). */
function renderRecords(facts: HostFacts, checks: readonly Check[]): string {
  // Milliseconds are all the clock gives; records have microseconds.
  const time = new Date().toISOString().replace("Z", "000Z");
  const summary = {
    type: "summary",
    time,
    command: "doctor",
    host: facts.hostname,
    kernel: facts.kernel.release,
    bpftrace: facts.bpftrace?.version?.replace(/^v/, "") ?? null,
    canTraceDrops: canTraceDrops(checks),
    missing: checks.filter((check) => check.status === "missing").map((check) => check.id),
  };
  const records = [...checks.map((check) => ({ type: "check", time, ...check })), summary];
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}
