import { expect, test } from "vitest";
import { runTrace } from "../../support/capture.ts";

test("without a word the commands are told, as an error", async () => {
  const { code, stdout, stderr } = await runTrace();
  expect(code).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^Usage: trace /);
  for (const command of ["drops", "replay", "doctor"]) expect(stderr).toContain(`\n  ${command} `);
});

test("a number out of range is refused in three lines, with one that is valid", async () => {
  const { code, stderr } = await runTrace("drops", "--port", "65536");
  expect(code).toBe(2);
  expect(stderr).toBe(
    'trace: --port: "65536" is not valid\n  why: a whole number from 1 to 65535 is expected\n  try: --port 443\n',
  );
});
