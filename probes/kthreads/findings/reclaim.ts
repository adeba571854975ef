import { formatCount, formatSeconds, plural } from "../../../src/text/format.ts";
import { describeCallers, makeFinding, sum, type Find } from "./shared.ts";

/** kswapd wakes up now and then for page cache alone; a twentieth of a CPU is more than that. */
const NOTED = 5;

/** kswapd frees memory: it is short. */
export const findReclaim: Find = ({ threads, work, seconds }, told) => {
  const swappers = threads.filter((thread) => thread.described?.name === "kswapd");
  const busy = swappers.filter((thread) => thread.cpuPercent >= NOTED);
  const direct = work.memory["pgscan_direct"] ?? 0;
  const scanned = work.memory["pgscan_kswapd"] ?? 0;
  if (busy.length === 0 && (work.kswapdWakes === 0 || scanned === 0)) return [];
  for (const thread of busy) told.add(thread);
  const percent = sum(swappers.map((thread) => thread.cpuPercent));
  const freed = work.memory["pgsteal_kswapd"] ?? 0;
  const callers = describeCallers(work.kswapdCallers);
  return [
    makeFinding({
      id: "kswapd",
      severity: direct > 0 ? "problem" : busy.length > 0 ? "suspicious" : "info",
      summary:
        direct > 0
          ? `Memory is short: kswapd takes ${percent.toFixed(0)} % of a CPU, and programs have to free memory themselves before they get any`
          : `kswapd frees memory (${percent.toFixed(0)} % of a CPU): memory runs low`,
      count: work.kswapdWakes,
      evidence: [
        `woken ${plural(work.kswapdWakes, "time")} in ${formatSeconds(seconds)}${callers === "" ? "" : `, asked for by ${callers}`}`,
        `looked at ${formatCount(scanned)} pages, freed ${formatCount(freed)}`,
        ...(direct > 0
          ? [`programs looked at ${formatCount(direct)} pages themselves (direct reclaim)`]
          : []),
      ],
      check: [
        "vmstat 1 5",
        "cat /proc/pressure/memory",
        "ps -eo pid,comm,rss --sort=-rss | head",
        "trace oom",
      ],
      fix: [
        "# give the machine more memory, or the biggest programs less: systemctl set-property UNIT MemoryHigh=…",
      ],
    }),
  ];
};
