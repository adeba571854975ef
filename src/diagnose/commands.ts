import { quoteShell } from "../text/escape.ts";
import type { Place } from "./facts.ts";

/** `ip netns exec NAME ` for a named namespace, `nsenter --net=PATH ` for any other, nothing for the host's or an unknown one. */
export function netnsPrefix(place: Place | null): string {
  if (place === null || place.kind === "host") return "";
  if (place.kind === "named" && place.name !== null) return `ip netns exec ${quoteShell(place.name)} `;
  const path = place.path ?? (place.pid === null ? null : `/proc/${place.pid}/ns/net`);
  return path === null ? "" : `nsenter --net=${quoteShell(path)} `;
}

/** `command` as it has to be typed to run in that namespace; advice (`# …`) runs nowhere and stays as it is. */
export function inNetns(place: Place | null, command: string): string {
  return command.startsWith("#") ? command : `${netnsPrefix(place)}${command}`;
}
