import { isIP } from "node:net";
import { runTool } from "../../launch/tool.ts";
import { parseToolJson } from "./parse/json.ts";
import { parseRoutes } from "./parse/routes.ts";
import { asRecords } from "./parse/values.ts";
import type { Route } from "./types.ts";

/** What a namespace's routing says to a packet; `error` is the kernel's words ("Network is unreachable"). */
export type RouteAnswer =
  | { readonly route: Route; readonly error: null }
  | { readonly route: null; readonly error: string };

/**
 * `ip route get`: which way a packet to `to` would take in the namespace at `path` (null: our own). With `from` and `iif`
 * it is a packet that came in there. Null for addresses that are none.
 */
export async function lookUpRoute(
  path: string | null,
  packet: { readonly to: string; readonly from?: string; readonly iif?: string },
): Promise<RouteAnswer | null> {
  const family = isIP(packet.to);
  if (family === 0 || (packet.from !== undefined && isIP(packet.from) !== family)) return null;
  const words = [packet.to];
  if (packet.from !== undefined) words.push("from", packet.from);
  if (packet.iif !== undefined) words.push("iif", packet.iif);
  const outcome = await runTool("ip", [family === 6 ? "-6" : "-4", "-j", "-d", "route", "get", ...words], {
    netns: path,
  });
  if (!outcome.ok) {
    const answer = /RTNETLINK answers: (.*)/.exec(outcome.stderr)?.[1];
    return { route: null, error: answer ?? outcome.message };
  }
  const route = parseRoutes(asRecords(parseToolJson(outcome.stdout))).value[0];
  return route === undefined ? { route: null, error: "ip printed no route" } : { route, error: null };
}
