import { formatCount, formatRate, formatSeconds, plural } from "../../../src/text/format.ts";
import { describeCallers, makeFinding, type Find } from "./shared.ts";

/** A journal that commits more often than this is driven by fsync, not by its timer (5 s). */
const COMMITS_PER_SECOND = 20;
const BUSY = 0.5;

/** A journal that is kept busy by fsync. */
export const findJournals: Find = ({ work, threads, seconds: run }, told) => {
  return work.commits.flatMap(({ disk, number, count, seconds, blocks, fsyncs }) => {
    if (run <= 0 || (count / run < COMMITS_PER_SECOND && seconds / run < BUSY)) return [];
    const thread = threads.find((row) => row.described?.name === "jbd2" && row.disk?.number === number);
    if (thread !== undefined) told.add(thread);
    const where = disk === null ? `disk ${number}` : `${disk.path} (${disk.type} on ${disk.device})`;
    const callers = describeCallers(fsyncs);
    return [
      makeFinding({
        id: "journal",
        severity: seconds / run >= BUSY ? "suspicious" : "info",
        summary: `The journal of ${where} commits ${formatRate(count / run)} times a second: something calls fsync all the time`,
        count,
        evidence: [
          `${plural(count, "commit")} took ${seconds.toFixed(2)} s of ${formatSeconds(run)} and wrote ${formatCount(blocks)} blocks`,
          ...(callers === "" ? [] : [`fsync was called by ${callers}`]),
        ],
        check: ["iostat -xz 1 3", "cat /proc/fs/jbd2/*/info", "cat /proc/pressure/io"],
        fix: ["# let that program write more at a time before it syncs, or put its data on a faster disk"],
      }),
    ];
  });
};
