import { netnsPrefix } from "../../src/diagnose/commands.ts";
import { quoteShell } from "../../src/text/escape.ts";
import type { NetnsPlace } from "./names.ts";
import type { FlowRow } from "./rows.ts";

/** A catalogue command with its placeholders filled from a row; what is unknown stays as a word to replace. */
export function fillCommand(command: string, row: FlowRow, place: NetnsPlace | null): string {
  const values: Readonly<Record<string, string | null>> = {
    ns: netnsPrefix(place),
    dev: row.dev === null ? "DEV" : quoteShell(row.dev),
    port: row.destinationPort === null ? "PORT" : String(row.destinationPort),
    source: row.source ?? "SOURCE",
    destination: row.destination ?? "DESTINATION",
  };
  return command.replace(/\{(ns|dev|port|source|destination)\}/g, (_, name: string) => values[name] ?? "");
}
