import { DRIVER_PREFIX, FILTER_PREFIX, RING_PREFIX } from "./collect/configuration.ts";
import type { RawNet } from "./collect/raw.ts";
import { mergeFirewall } from "./firewall.ts";
import { parseDriverStats, parseRings } from "./parse/ethtool.ts";
import { parseFilters } from "./parse/filters.ts";
import { parseIpBatch, type IpLists } from "./parse/ip-batch.ts";
import { parseIptables, type IptablesDump } from "./parse/iptables.ts";
import { parseLinks, parseNetnsIds } from "./parse/links.ts";
import { parseNeighbours } from "./parse/neighbours.ts";
import { parseNft } from "./parse/nft.ts";
import { NO_TEXTS, parseNftTexts } from "./parse/nft-text.ts";
import { parseProcSockets, toListener as fromProcSocket } from "./parse/proc-sockets.ts";
import { parseQdiscs } from "./parse/qdiscs.ts";
import { parsePolicyRules, parseRoutes, REFUSALS } from "./parse/routes.ts";
import { parseSs, toListener } from "./parse/ss.ts";
import { parseSysctls } from "./parse/sysctls.ts";
import { parseToolJson } from "./parse/json.ts";
import { asRecords, type Parsed } from "./parse/values.ts";
import type { SectionReader } from "./section-reader.ts";
import type { DriverStats, Listener, NetConfiguration, PolicyRule, TrafficFilter } from "./types.ts";

/** The tools' part of a namespace; null where none of it was taken. */
export function parseConfiguration(raw: RawNet, reader: SectionReader): NetConfiguration | null {
  if (!reader.has("ss tcp") && !reader.has("nft -j") && !reader.has("ip")) {
    // The shell could not be started in there.
    reader.readOptional("sh", (text) => ({ value: text, unread: 0 }));
    return null;
  }
  if (!reader.has("ip")) reader.miss("ip");
  // Only what counts was asked for: an empty list says nothing of the rest.
  const isBrief = reader.has("brief");
  const ip = reader.readPartly("ip", parseIpBatch);
  const take = <T>(
    kind: keyof IpLists,
    parse: (items: IpLists[keyof IpLists]) => Parsed<T[]>,
  ): T[] | null => {
    const items = ip?.value[kind] ?? [];
    // Of a cut output an empty list says nothing.
    if (ip === null || (!ip.complete && items.length === 0)) return null;
    const parsed = parse(items);
    if (parsed.unread > 0) reader.misread("ip", parsed.unread);
    return parsed.value;
  };
  const names = parseNetnsIds(ip?.value.netnsIds ?? []);
  const rules = take("rules", (items) => parsePolicyRules(items, "ipv4"));
  const routes = take("routes", parseRoutes);
  return {
    links: take("links", (items) => parseLinks(items, names)),
    neighbours: isBrief ? null : take("neighbours", parseNeighbours),
    routes: isBrief ? null : routes,
    refusals: routes?.filter(({ type }) => REFUSALS.has(type)) ?? null,
    policyRules: rules?.concat(readIpv6Rules(reader)) ?? null,
    qdiscs: reader.read("tc qdisc", parseQdiscs),
    filters: readFilters(reader),
    ...readFirewall(reader),
    listeners: readListeners(raw, reader),
    sysctls: isBrief ? null : reader.read("sysctl", parseSysctls),
    driverStats: readDriverStats(reader),
  };
}

function readListeners(raw: RawNet, reader: SectionReader): Listener[] | null {
  const sockets = reader.read("ss tcp", parseSs);
  if (sockets !== null) return sockets.map(toListener);
  const lines = reader.readOptional("proc tcp", (text) => parseProcSockets(text, raw.littleEndian));
  return lines?.map(fromProcSocket) ?? null;
}

function readIpv6Rules(reader: SectionReader): PolicyRule[] {
  const rules = reader.readOptional("ip -6 rule", (text) => {
    const items = parseToolJson(text.trim() === "" ? "[]" : text);
    return Array.isArray(items) ? parsePolicyRules(asRecords(items), "ipv6") : { value: [], unread: 1 };
  });
  return rules ?? [];
}

function readFilters(reader: SectionReader): TrafficFilter[] {
  return reader.names(FILTER_PREFIX).flatMap((name) => {
    const [direction = "", dev = ""] = name.slice(FILTER_PREFIX.length).split(" ");
    if (direction !== "ingress" && direction !== "egress" && direction !== "classify") return [];
    return reader.readOptional(name, (text) => parseFilters(text, { dev, direction })) ?? [];
  });
}

function readDriverStats(reader: SectionReader): DriverStats[] {
  return reader.names(DRIVER_PREFIX).flatMap((name) => {
    const dev = name.slice(DRIVER_PREFIX.length);
    const stats = reader.readOptional(name, parseDriverStats);
    const ring = reader.readOptional(`${RING_PREFIX}${dev}`, parseRings);
    return stats === null && ring === null ? [] : [{ dev, stats: stats ?? {}, ring }];
  });
}

function readFirewall(reader: SectionReader): Pick<NetConfiguration, "firewall" | "firewallRead"> {
  const texts = reader.readOptional("nft -a", (text) => ({ value: parseNftTexts(text), unread: 0 }));
  const nft = reader.readOptional("nft -j", (text) => parseNft(text, texts ?? NO_TEXTS));
  const read = (name: string, tool: "iptables" | "ip6tables"): IptablesDump | null =>
    reader.readOptional(name, (text) => parseIptables(text, tool));
  const byNft = [read("iptables-save", "iptables"), read("ip6tables-save", "ip6tables")];
  const legacy = [read("iptables-legacy-save", "iptables"), read("ip6tables-legacy-save", "ip6tables")];
  // A host whose only iptables is the nft one cannot list x_tables; then the twin lists nft's rules again.
  const foreign = legacy.filter(
    (dump) => dump !== null && dump.chains.some((chain) => chain.backend === "nft"),
  );
  if (foreign.length > 0) reader.miss("iptables-legacy-save", "not installed, and legacy tables exist");
  const dumps = [...byNft, ...legacy].filter((dump) => dump !== null && !foreign.includes(dump));
  const legacyNames = reader.names("iptables-legacy-save").concat(reader.names("ip6tables-legacy-save"));
  const firewallRead = {
    nft: nft !== null || !reader.has("nft -j"),
    iptablesNft: nft !== null || byNft.some((dump) => dump !== null) || !reader.has("nft -j"),
    legacy: foreign.length === 0 && legacy.filter((dump) => dump !== null).length === legacyNames.length,
  };
  const nothing = !firewallRead.nft && dumps.length === 0;
  return {
    firewall: nothing
      ? null
      : mergeFirewall(
          nft,
          dumps.filter((dump) => dump !== null),
        ),
    firewallRead,
  };
}
