import { describe, it } from "vitest";
import type { OomReport } from "../../../probes/oom/record.ts";
import { summarise } from "../../../probes/oom/log/summarise.ts";
import { expectGolden } from "../../support/golden.ts";
import { FIXTURES, listLogs, parseFixture } from "./read.ts";

/** A report without what only repeats the log at length. */
function brief(report: OomReport): unknown {
  const stats = report.memory?.stats;
  const memory =
    report.memory === null
      ? null
      : { ...report.memory, stats: stats == null ? null : { ...stats, raw: "…" } };
  return { ...report, memory, tasks: report.tasks.map((task) => JSON.stringify(task)) };
}

// `npm run bless` writes them anew; the diff is then what the change means to a user.
describe("every OOM log gives the reports and findings it gave before", () => {
  it.each(listLogs("dmesg", "recorded", "composed"))("%s", async (name) => {
    const { reports, notes } = parseFixture(name);
    const { kills, byCgroup, findings } = summarise(reports, notes);
    // A storm of bare lines is told by its first and last.
    const shown = reports.length > 10 ? [...reports.slice(0, 2), ...reports.slice(-2)] : reports;
    const golden = {
      kills,
      byCgroup,
      notes: { ...notes, incidents: notes.incidents.slice(0, 3) },
      findings,
      reports: shown.map(brief),
    };
    await expectGolden(
      `${FIXTURES}golden/${name.replace("/", "-")}.json`,
      `${JSON.stringify(golden, null, 1)}\n`,
    );
  });
});
