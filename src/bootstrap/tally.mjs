// `node tally.mjs REPORT STATUS`, the end of .ci/run: counts what vitest's JSON report says, STATUS being the exit
// code of `npm test`. The live tests are the proof that trace works on a kernel: a run without one has failed.

import { readFileSync } from "node:fs";

const [, , report = "", status = ""] = process.argv;
const files = readReport(report);
const all = count(files);
const live = count(files.filter((file) => /[\\/]test[\\/]live[\\/]/.test(file.name)));

const problems = [];
if (live.passed + live.failed === 0) problems.push("no live test ran");
if (live.skipped > 0) problems.push(`live tests that did not run: ${live.skipped}`);
if (status !== "0") problems.push(`npm test ended with exit code ${status}`);

for (const problem of problems) process.stdout.write(`CI: ${problem}\n`);
process.stdout.write(`${all.passed} passed, ${all.failed} failed, ${all.skipped} skipped\n`);
process.exitCode = problems.length > 0 || all.failed > 0 ? 1 : 0;

/**
 * @param {readonly { status: string, assertionResults: { status: string }[] }[]} of test files
 */
function count(of) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const file of of) {
    const results = file.assertionResults.map((result) => result.status);
    const failed = results.filter((result) => result === "failed").length;
    const passed = results.filter((result) => result === "passed").length;
    sum.passed += passed;
    sum.skipped += results.length - failed - passed;
    // A file that could not be loaded, or whose hooks failed, has failed although none of its tests says so.
    sum.failed += failed === 0 && file.status === "failed" ? 1 : failed;
  }
  return sum;
}

/**
 * @param {string} path
 * @returns {{ name: string, status: string, assertionResults: { status: string }[] }[]} none without a report
 */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).testResults;
  } catch {
    return [];
  }
}
