// Preloaded into a measured process: says at its end how much memory and CPU time it took at most.
process.on("exit", () => {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  process.stderr.write(
    `\nusage ${JSON.stringify({ rss: maxRSS * 1024, cpu: (userCPUTime + systemCPUTime) / 1e6 })}\n`,
  );
});
