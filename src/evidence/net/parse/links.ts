import type { Link, XdpProgram } from "../types.ts";
import { flattenNumbers, flattenTexts } from "./flatten.ts";
import {
  asNumber,
  asRecord,
  asRecords,
  asString,
  asStrings,
  asText,
  toTable,
  type JsonRecord,
  type Parsed,
} from "./values.ts";

/** Names by number: `ip netns list-id`. */
export function parseNetnsIds(items: readonly JsonRecord[]): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const item of items) {
    const nsid = asNumber(item["nsid"]);
    const name = asString(item["name"]);
    if (nsid !== null && name !== null) names.set(nsid, name);
  }
  return names;
}

/** Items of `ip -j -s -s -d link show`. */
export function parseLinks(items: readonly JsonRecord[], names: ReadonlyMap<number, string>): Parsed<Link[]> {
  const links = items.map((item) => parseLink(item, names)).filter((link) => link !== null);
  return { value: links, unread: items.length - links.length };
}

function parseLink(item: JsonRecord, names: ReadonlyMap<number, string>): Link | null {
  const index = asNumber(item["ifindex"]);
  const name = asString(item["ifname"]);
  if (index === null || name === null) return null;
  const info = asRecord(item["linkinfo"]) ?? {};
  const kind = asString(info["info_kind"]);
  const type = asString(item["link_type"]);
  const peerNsid = asNumber(item["link_netnsid"]);
  return {
    index,
    name,
    kind,
    type,
    // parentbus came with iproute2 5.14; before that an ethernet device without a kind is the best sign.
    physical: "parentbus" in item || (kind === null && type === "ether"),
    mtu: asNumber(item["mtu"]),
    minMtu: asNumber(item["min_mtu"]),
    maxMtu: asNumber(item["max_mtu"]),
    flags: asStrings(item["flags"]),
    operstate: asString(item["operstate"]),
    address: asString(item["address"]),
    master: asString(item["master"]),
    peerIndex: asNumber(item["link_index"]),
    peerName: asString(item["link"]),
    peerNsid,
    peerNetns: peerNsid === null ? null : (names.get(peerNsid) ?? null),
    qdisc: asString(item["qdisc"]),
    txQueueLength: asNumber(item["txqlen"]),
    promiscuity: asNumber(item["promiscuity"]),
    xdp: parseXdp(asRecord(item["xdp"])),
    stats: flattenNumbers(item["stats64"] ?? item["stats"]),
    info: { ...flattenTexts(info["info_data"]), ...portInfo(flattenTexts(info["info_slave_data"])) },
  };
}

/** What the device above says of it (`state` of a bridge's port), under names of its own. */
function portInfo(info: { readonly [name: string]: string }): { readonly [name: string]: string } {
  return toTable(Object.entries(info).map(([name, value]) => [`port.${name}`, value] as const));
}

/** `mode` is a number: XDP_ATTACHED_* of include/uapi/linux/if_link.h (1 native, 2 generic, 3 hardware, 4 several). */
function parseXdp(xdp: JsonRecord | null): XdpProgram[] {
  if (xdp === null) return [];
  const attached = asRecords(xdp["attached"]);
  return (attached.length === 0 ? [xdp] : attached).map((item) => {
    const program = asRecord(item["prog"]) ?? {};
    const mode = asNumber(item["mode"]);
    return {
      mode: mode === 1 ? "native" : mode === 2 ? "generic" : mode === 3 ? "offloaded" : "unknown",
      id: asNumber(program["id"]),
      name: asText(program["name"]),
    };
  });
}
