import { isMainThread } from "node:worker_threads";

// Preloaded into a measured process, and so into its threads too: the process says at its end how much memory and CPU time it took at most.
if (isMainThread) {
  process.on("exit", () => {
    const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
    process.stderr.write(
      `\nusage ${JSON.stringify({ rss: maxRSS * 1024, cpu: (userCPUTime + systemCPUTime) / 1e6 })}\n`,
    );
  });
}
