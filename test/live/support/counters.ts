import type { Host } from "./world.ts";

/** A counter of /proc/net/snmp, netstat or snmp6 inside a host, by its nstat name; 0 where the kernel has none. */
export async function readCounter(host: Host, name: string): Promise<number> {
  const text = await host.run("cat", "/proc/net/snmp", "/proc/net/netstat", "/proc/net/snmp6");
  const lines = text.split("\n");
  for (let index = 0; index + 1 < lines.length; index += 1) {
    const [group, ...names] = (lines[index] ?? "").split(" ");
    const [same, ...values] = (lines[index + 1] ?? "").split(" ");
    if (group === undefined || group === "" || group !== same) continue;
    const at = names.findIndex((field) => `${group.slice(0, -1)}${field}` === name);
    if (at !== -1) return Number(values[at]);
    index += 1;
  }
  const found = new RegExp(String.raw`^${name}\s+(\d+)$`, "m").exec(text);
  return Number(found?.[1] ?? 0);
}

/** Reads until the counter has reached `least`. Rejects after `tries` readings: what should count does not. */
export async function untilCounter(host: Host, name: string, least: number, tries = 2000): Promise<void> {
  for (let turn = 0; turn < tries; turn += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each reading is the condition of the next
    if ((await readCounter(host, name)) >= least) return;
  }
  throw new Error(`${name} did not reach ${least}`);
}
