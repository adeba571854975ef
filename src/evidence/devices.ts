import { runTool } from "../launch/tool.ts";

/**
 * Names of the network devices of a namespace by their index. Null where they cannot be read: no `ip`, no way in.
 * @param path the namespace, for `nsenter --net=`; null for our own
 */
export async function readDevices(path: string | null): Promise<Map<number, string> | null> {
  const command = ["ip", "-j", "link", "show"];
  const [tool = "ip", ...args] = path === null ? command : ["nsenter", `--net=${path}`, "--", ...command];
  const result = await runTool(tool, args);
  if (!result.ok) return null;
  const links = JSON.parse(result.stdout) as { ifindex?: number; ifname?: string }[];
  return new Map(
    links.flatMap((link) =>
      link.ifindex === undefined || link.ifname === undefined ? [] : [[link.ifindex, link.ifname] as const],
    ),
  );
}

/** Namespaces looked into for one device: each costs a process. */
const MAX_NAMESPACES = 64;

/**
 * Whether a device of that name is in one of these namespaces; else the names that are there. Null where that cannot be
 * told: a namespace could not be read, or there are too many.
 * @param paths as for `readDevices`
 */
export async function findDevice(
  name: string,
  paths: readonly (string | null)[],
): Promise<{ readonly isThere: boolean; readonly names: readonly string[] } | null> {
  const names = new Set<string>();
  let isWhole = paths.length <= MAX_NAMESPACES;
  for (const path of paths.slice(0, MAX_NAMESPACES)) {
    const devices = await readDevices(path);
    if (devices === null) isWhole = false;
    for (const found of devices?.values() ?? []) names.add(found);
    if (names.has(name)) return { isThere: true, names: [...names] };
  }
  return isWhole ? { isThere: false, names: [...names] } : null;
}
