import type { NetDelta, RuleDelta } from "../../../evidence/net/types.ts";
import { formatBytes, formatCount, plural } from "../../../text/format.ts";
import { roundUp } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import type { Facts, Place } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { tellLog } from "../../kernel-log.ts";
import { findHost, findPlace, nameNetns, readNumbers } from "../../where.ts";
import { replaceRule } from "./commands.ts";
import { tellEffects, tellFlows } from "./evidence.ts";
import { describeRule, type Context } from "./rule-finding.ts";

/** struct nf_conn with its usual extensions, from the slab of 6.18; older kernels take a little more. */
export const BYTES_PER_ENTRY = 320;

/** The table counts as full to the eye from here on: it empties a little before it is read at the end. */
const FULL_SHARE = 0.95;

const TABLE_FULL = /nf_conntrack.*table full/;

/** Connection tracking found no room for the packet's connection. */
export function fullFinding(network: NetDelta, { facts, own }: Context): Finding {
  const { max, count } = network.conntrack ?? { max: null, count: { before: null, after: null } };
  const early = network.conntrack?.stats["early_drop"]?.delta ?? 0;
  const used = Math.max(count.before ?? 0, count.after ?? 0);
  const isFull = max !== null && used >= max * FULL_SHARE;
  const evidence = [
    `/proc/net/stat/nf_conntrack: drop +${formatCount(own.suspect.counted ?? own.count)}; ${formatCount(own.count)} drops in ${own.drops[0]?.location ?? "netfilter"} were seen that no rule counted`,
    max === null
      ? null
      : `${formatCount(count.after ?? 0)} of ${formatCount(max)} entries at the end${isFull ? "" : ", so it was full for a moment, or there was no memory for an entry"}`,
    tellLog(facts, TABLE_FULL, network.netns.inode),
    `new connections are refused, those that are known go on`,
    early > 0
      ? `early_drop +${formatCount(early)}: so many that had no answer yet lost their entry to make room before that`
      : null,
    tellFlows(own.drops),
    ...tellEffects(facts, network, own.drops, null),
  ];
  return {
    id: "netfilter-conntrack-full",
    severity: "problem",
    summary: isFull
      ? `The connection tracking table is full (${formatCount(used)} of ${formatCount(max)}): new connections are dropped`
      : "Connection tracking had no room for new connections and dropped them",
    count: own.count,
    netns: nameNetns(facts, network.netns.inode),
    evidence: evidence.filter((line) => line !== null),
    check: tableChecks(findPlace(facts, network.netns.inode)),
    fix: max === null ? [] : enlarge(facts, network, max),
  };
}

/** Who has the most entries, from a part of the table: reading hundreds of thousands of lines takes long. */
const TOP_SOURCES = `head -n 20000 /proc/net/nf_conntrack | sed -n "s/.*[^-]src=\\([^ ]*\\) .* src=.*/\\1/p" | sort | uniq -c | sort -rn | head`;

function tableChecks(place: Place | null): string[] {
  return [
    inNetns(place, "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max"),
    inNetns(place, `sh -c '${TOP_SOURCES}'`),
  ];
}

/**
 * Twice as many entries: a table that ran full has no known need, and a power of two keeps the hash table's chains as they
 * are. The limit is the host's (read-only in other namespaces) unless a namespace has one of its own, which is lower.
 */
export function enlarge(facts: Facts, network: NetDelta, max: number): string[] {
  const host = findHost(facts)?.conntrack?.max ?? null;
  const isOwn = host !== null && max < host;
  const place = isOwn ? findPlace(facts, network.netns.inode) : null;
  const wanted = roundUp(max * 2);
  const [buckets] = readNumbers(facts, network, "net.netfilter.nf_conntrack_buckets");
  const memory = formatBytes((wanted - max) * BYTES_PER_ENTRY);
  return [
    inNetns(place, `sysctl -w net.netfilter.nf_conntrack_max=${wanted}`),
    // Longer chains make every look-up slower. The kernel's own choice is one entry a bucket, before 5.15 four.
    ...(buckets !== undefined && wanted > buckets * 4
      ? [`sysctl -w net.netfilter.nf_conntrack_buckets=${roundUp(wanted / 4)}`]
      : []),
    `# costs up to ${memory} more; or keep traffic that needs no tracking out of it with NOTRACK (-j CT --notrack in table raw)`,
  ];
}

/** The packet's entry clashed with another's when it left: mostly address translation that has no free port. */
export function clashFinding(network: NetDelta, { facts, own }: Context): Finding {
  const place = findPlace(facts, network.netns.inode);
  const rules = network.rules.filter((rule) => isSourceNat(rule) && (rule.packets.delta ?? 0) > 0);
  const [first] = rules;
  const evidence = [
    `/proc/net/stat/nf_conntrack: insert_failed +${formatCount(own.suspect.counted ?? own.count)}, as packets are dropped that no rule counted`,
    rules.length === 0
      ? "two packets made the same connection at the same time, or address translation gave two connections the same port"
      : `address translation moved in the same time: ${rules.map(({ text, packets }) => `${text} (+${formatCount(packets.delta ?? 0)})`).join("; ")}`,
    tellFlows(own.drops),
    ...tellEffects(facts, network, own.drops, null),
  ];
  return {
    id: "netfilter-conntrack-clash",
    severity: "problem",
    summary:
      rules.length === 0
        ? "Connection tracking drops packets whose connection clashes with another"
        : "Address translation finds no free port for new connections, they are dropped",
    count: own.count,
    netns: nameNetns(facts, network.netns.inode),
    evidence: evidence.filter((line) => line !== null),
    check: [inNetns(place, "cat /proc/net/stat/nf_conntrack"), inNetns(place, "nft -a list ruleset")],
    fix: rules.map((rule) => replaceRule(place, network, rule, widen) ?? NFT_ADVICE),
    ...(first === undefined ? {} : { rule: describeRule(first, first.packets.delta) }),
  };
}

const NFT_ADVICE =
  "# give address translation more to choose from: no port or more addresses, and fully-random behind it";

function isSourceNat({ verdicts }: RuleDelta): boolean {
  return verdicts.some(({ kind, target }) => kind === "other" && /^(?:snat|masquerade)$/i.test(target ?? ""));
}

/** More ports to choose from: all instead of a few, and chosen at random instead of the first that was free a moment ago. */
function widen(words: string[]): string[] {
  const at = words.findIndex((word) => word === "--to-source" || word === "--to-ports");
  const [, address] = /^([\d.]+|\[[\da-f:]+\]):\d+(?:-\d+)?$/i.exec(words[at + 1] ?? "") ?? [];
  if (words[at] === "--to-source" && address !== undefined) return words.with(at + 1, address);
  if (words[at] === "--to-ports") return words.toSpliced(at, 2);
  return words.includes("--random-fully") ? words : [...words, "--random-fully"];
}

/** Entries that had to go to make room: no packet was dropped yet, but connections lose their state. */
export function pressureFinding(facts: Facts, network: NetDelta): Finding | null {
  const { conntrack } = network;
  const early = conntrack?.stats["early_drop"]?.delta ?? 0;
  if (conntrack === null || early === 0) return null;
  const { max, count } = conntrack;
  const log = tellLog(facts, TABLE_FULL, network.netns.inode);
  return {
    id: "netfilter-conntrack-early-drop",
    severity: "suspicious",
    summary: "The connection tracking table ran full: entries were thrown out to make room",
    count: 0,
    netns: nameNetns(facts, network.netns.inode),
    evidence: [
      `/proc/net/stat/nf_conntrack: early_drop +${formatCount(early)}: ${plural(early, "connection")} that had no answer yet lost its entry`,
      ...(max === null ? [] : [`${formatCount(count.after ?? 0)} of ${formatCount(max)} entries at the end`]),
      ...(log === null ? [] : [log]),
    ],
    check: tableChecks(findPlace(facts, network.netns.inode)),
    fix: max === null ? [] : enlarge(facts, network, max),
  };
}
