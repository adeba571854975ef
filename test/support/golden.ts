import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { expect } from "vitest";

/** Compares with a golden file; `npm run bless` (TRACE_BLESS=1) writes it anew. A missing golden fails. */
export async function expectGolden(path: string, text: string): Promise<void> {
  if (process.env["TRACE_BLESS"] === "1") await writeFile(path, text);
  expect(existsSync(path), `${path} is missing: npm run bless`).toBe(true);
  expect(text).toBe(await readFile(path, "utf8"));
}
