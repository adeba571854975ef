import { expect } from "vitest";
import { runTrace } from "./capture.ts";
import { createRecordCheck } from "./schema.ts";

/** A record as it is printed; its shape is what the schema check looks at. */
export interface Row {
  readonly type: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- records are read freely; their shape is checked by the schema
  readonly [field: string]: any;
}

/** Replays a recording of that probe; every record fits the schema that ships. */
export async function replay(path: string, probe: string): Promise<{ records: Row[]; summary: Row }> {
  const { code, stdout } = await runTrace("replay", path, "--format", "json", "--no-profile");
  expect(code).toBe(0);
  const records = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);
  const check = await createRecordCheck(probe);
  for (const record of records) expect(check(record)).toEqual([]);
  const summary = records.at(-1);
  expect(summary?.type).toBe("summary");
  return { records, summary: summary ?? { type: "none" } };
}

/** What the notices of a run said, in their order. */
export const noticesOf = (records: readonly Row[]): string[] =>
  records.filter(({ type }) => type === "notice").map((record) => String(record["message"]));
