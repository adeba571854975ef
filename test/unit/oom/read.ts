import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { OomReport } from "../../../probes/oom/record.ts";
import { createOomParser, type OomLogNotes } from "../../../probes/oom/log/parse.ts";
import { createLineDecoder } from "../../../src/evidence/kernel-log/decode.ts";
import { type KernelLine, zeroCounts } from "../../../src/evidence/kernel-log/line.ts";
import { createLineSplitter } from "../../../src/evidence/kernel-log/split.ts";

/** The folder of the OOM logs. */
export const FIXTURES = fileURLToPath(new URL("../../../fixtures/oom/", import.meta.url));

/** All logs as `folder/name`, without the goldens. */
export function listLogs(...folders: string[]): string[] {
  return folders.flatMap((folder) => readdirSync(`${FIXTURES}${folder}`).map((name) => `${folder}/${name}`));
}

/** Kernel records of a log text; prefixes without a zone are read as UTC, the year counts back from June 2026. */
export function decode(log: string | Uint8Array): KernelLine[] {
  const lines: KernelLine[] = [];
  const context = { reference: new Date("2026-06-30T00:00:00Z"), utcOffsetMinutes: 0 };
  const decoder = createLineDecoder(context, zeroCounts());
  const splitter = createLineSplitter();
  const onLine = (line: string, cut: boolean): void => decoder.push(line, lines, cut);
  splitter.push(Buffer.from(log), onLine);
  splitter.end(onLine);
  decoder.end(lines);
  return lines;
}

/** Kills and notes of kernel records. */
export function parse(lines: Iterable<KernelLine>): { reports: OomReport[]; notes: OomLogNotes } {
  const parser = createOomParser();
  const reports: OomReport[] = [];
  for (const line of lines) reports.push(...parser.push(line));
  reports.push(...parser.end());
  return { reports, notes: parser.notes };
}

/** A fixture's bytes. */
export function load(name: string): Buffer {
  return readFileSync(`${FIXTURES}${name}`);
}

/** Kills of a fixture. */
export function parseFixture(name: string): { reports: OomReport[]; notes: OomLogNotes } {
  return parse(decode(load(name)));
}

/** The only kill of a log. */
export function only(reports: readonly OomReport[]): OomReport {
  const [first, ...rest] = reports;
  if (first === undefined || rest.length > 0)
    throw new Error(`expected one kill, got ${String(reports.length)}`);
  return first;
}
