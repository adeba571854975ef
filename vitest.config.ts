import { defineConfig } from "vitest/config";

// Three projects: `unit` needs nothing but Node; `contract` runs every probe folder against its recordings;
// `live` needs root and a real kernel, and runs one file at a time because its tests share that kernel.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "probes/*/*.test.ts"],
          testTimeout: 20_000,
        },
      },
      { test: { name: "contract", include: ["test/contract/**/*.test.ts"], testTimeout: 30_000 } },
      {
        test: {
          name: "live",
          include: ["test/live/**/*.test.ts"],
          fileParallelism: false,
          // The kernel, its clocks and its CPUs are shared with whatever else runs here: what fails is tried once more, and has to pass then.
          retry: 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
