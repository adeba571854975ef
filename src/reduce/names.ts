import type { Place } from "../diagnose/facts.ts";
import type { NetDelta } from "../evidence/net/types.ts";
import type { Fact, RunContext } from "../probe/define.ts";

/** Names of namespaces, devices and call sites: from stack samples, else asked of the host once. */
export interface Names {
  fact(fact: Fact): void;
  netns(inode: number): Place | null;
  device(netns: number, ifindex: number): string | null;
  symbol(site: number): string | null;
  learnDevice(netns: number, ifindex: number, name: string): void;
  learnSymbol(site: number, name: string): void;
  /** From the evidence at the end: flows that were first seen in the last interval were asked about too late. */
  learnNetwork(network: NetDelta): void;
  /** Asks for what is not known yet. */
  want(flow: { readonly netns: number; readonly ifindex: number; readonly site: number }): void;
}

/** `ask`: how to ask the host. */
export function createNames(ask: RunContext["ask"]): Names {
  const places = new Map<number, Place>();
  const devices = new Map<string, string>();
  const symbols = new Map<number, string>();
  return {
    fact({ fact, key, value }) {
      if (fact === "netns") {
        const place = readPlace(Number(key), value);
        if (place !== null) places.set(place.inode, place);
      } else if (fact === "device" && typeof value === "string") devices.set(key, value);
      else if (fact === "ksym" && typeof value === "string") symbols.set(Number(key), value);
    },
    netns: (inode) =>
      inode === 0
        ? null
        : (places.get(inode) ?? { inode, name: null, kind: "unknown", path: null, pid: null }),
    device: (netns, ifindex) => devices.get(`${netns}/${ifindex}`) ?? null,
    symbol: (site) => symbols.get(site) ?? null,
    learnDevice: (netns, ifindex, name) => void devices.set(`${netns}/${ifindex}`, name),
    learnSymbol: (site, name) => void symbols.set(site, name),
    learnNetwork({ netns, state }) {
      for (const { index, name } of state.configuration?.links ?? []) {
        const key = `${netns.inode}/${index}`;
        if (!devices.has(key)) devices.set(key, name);
      }
    },
    want({ netns, ifindex, site }) {
      // Also of one that is known: those that were asked about are read first at the end.
      if (netns !== 0) ask({ fact: "netns", key: String(netns) });
      if (netns !== 0 && ifindex !== 0 && !devices.has(`${netns}/${ifindex}`))
        ask({ fact: "device", key: `${netns}/${ifindex}` });
      if (site !== 0 && !symbols.has(site)) ask({ fact: "ksym", key: String(site) });
    },
  };
}

function readPlace(inode: number, value: unknown): Place | null {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const { name, kind, path, pid, comm } = value as {
    name?: unknown;
    kind?: unknown;
    path?: unknown;
    pid?: unknown;
    comm?: unknown;
  };
  const process = typeof pid === "number" ? `${typeof comm === "string" ? comm : "?"} (pid ${pid})` : null;
  return {
    inode,
    name: typeof name === "string" ? name : process,
    kind:
      kind === "host" || kind === "named" || kind === "container" || kind === "pod" || kind === "process"
        ? kind
        : "unknown",
    path: typeof path === "string" ? path : null,
    pid: typeof pid === "number" ? pid : null,
  };
}
