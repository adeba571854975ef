import type { Command } from "commander";
import { readHostFacts } from "../host/facts.ts";
import { runTool } from "../launch/tool.ts";
import { chooseAttach } from "../probe/attach.ts";
import { listProbes, loadProbe } from "../probe/registry.ts";
import { renderReport } from "../view/report.ts";
import { createStyle } from "../view/style.ts";
import type { CommandIo } from "./io.ts";

/** Adds `trace list`. */
export function addListCommand(program: Command, io: CommandIo): void {
  program
    .command("list")
    .summary("all probes, and whether each can run on this host")
    .option("--format <format>", "text or json (one record a line)", "text")
    .option("--bpftrace <path>", "which bpftrace (also TRACE_BPFTRACE)")
    .action(async (values: { format: string; bpftrace?: string }) => {
      const host = await readHostFacts({ bpftracePath: values.bpftrace ?? null, run: runTool });
      const rows = [];
      for (const folder of await listProbes()) {
        const definition = await loadProbe(folder);
        const choice = await chooseAttach(definition, host);
        const status = !choice.ok ? "no" : choice.lacks === null ? "yes" : "limited";
        rows.push({
          name: definition.name,
          summary: definition.summary,
          runs: status,
          why: choice.ok ? choice.lacks : choice.why,
          hint: choice.ok ? null : choice.hint,
        });
      }
      if (values.format === "json") {
        for (const row of rows)
          io.stdout.write(`${JSON.stringify({ type: "probe", time: new Date().toISOString(), ...row })}\n`);
        return;
      }
      const table = {
        kind: "table" as const,
        columns: [{ header: "PROBE" }, { header: "RUNS HERE" }, { header: "ANSWERS", shrink: 1 }],
        rows: rows.map((row) => [row.name, row.runs, row.summary]),
      };
      const reasons = rows.filter((row) => row.why !== null);
      io.stdout.write(
        renderReport(
          [
            table,
            ...reasons.map((row) => ({
              kind: "text" as const,
              text: `${row.name}: ${row.why ?? ""}${row.hint === null ? "" : `\n  try: ${row.hint}`}`,
            })),
          ],
          createStyle(io.width, io.color),
        ),
      );
    });
}
