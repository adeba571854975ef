import { quoteShell } from "../../src/text/escape.ts";
import type { NetnsPlace } from "./names.ts";
import type { FlowRow } from "./rows.ts";

/** `ip netns exec NAME ` for a named namespace, `nsenter --net=PATH ` for any other, nothing for the host's. */
export function netnsPrefix(place: NetnsPlace | null): string {
  if (place === null || place.kind === "host") return "";
  if (place.kind === "named" && place.name !== null) return `ip netns exec ${quoteShell(place.name)} `;
  const path = place.path ?? (place.pid === null ? null : `/proc/${place.pid}/ns/net`);
  return path === null ? "" : `nsenter --net=${quoteShell(path)} `;
}

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
