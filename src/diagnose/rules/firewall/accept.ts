import type { ChainDelta, NetDelta } from "../../../evidence/net/types.ts";
import { quoteShell } from "../../../text/escape.ts";
import { plural } from "../../../text/format.ts";
import { countDrops } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import type { DropFact, Place } from "../../facts.ts";
import { acceptPolicy, toolName, words } from "./commands.ts";

/** Rules for so many kinds of packets are pasted; for more the operator has to think of one that covers them. */
const MAX_KINDS = 4;

/** What a rule asks for, in the words of iptables and of nft. */
interface Selector {
  readonly iptables: string;
  readonly nft: string;
}

/**
 * Rules at the end of a chain that let through what its policy dropped, and only that; the policy itself as advice beside it. Where nothing
 * narrow can be said of the packets, the policy is the command.
 */
export function acceptDropped(
  netns: Place | null,
  network: NetDelta,
  chain: ChainDelta,
  drops: readonly DropFact[],
): string[] {
  const policy = acceptPolicy(netns, network, chain);
  const kinds = listKinds(network, chain, drops);
  if (kinds.length === 0) return [policy];
  const rest = kinds.length - MAX_KINDS;
  return [
    ...kinds.slice(0, MAX_KINDS).map((kind) => inNetns(netns, appendRule(network, chain, kind))),
    ...(rest > 0 ? [`# and ${plural(rest, "more kind")} of packets, with fewer each`] : []),
    `# or let everything through that no rule decides on: ${policy}`,
  ];
}

function appendRule(network: NetDelta, chain: ChainDelta, selector: Selector): string {
  const { family, table } = chain;
  if (chain.tool === "nft")
    return `nft add rule ${words(family, table, chain.chain)} ${quoteNft(selector.nft)} accept`;
  return `${toolName(chain, network)} -t ${words(table)} -A ${words(chain.chain)} ${selector.iptables} -j ACCEPT`;
}

/** Braces are the shell's too. */
function quoteNft(text: string): string {
  return /[{}]/.test(text) ? quoteShell(text) : text;
}

/** Kinds of packets, most first; what is forwarded needs its way back too. */
function listKinds(network: NetDelta, chain: ChainDelta, drops: readonly DropFact[]): Selector[] {
  if (chain.family === "arp" || chain.family === "bridge") return [];
  const answers = network.conntrack === null ? null : ESTABLISHED;
  const isReply = findReplies(drops);
  const counts = new Map<string, { readonly selector: Selector; count: number }>();
  const add = (selector: Selector | null, count: number): void => {
    if (selector === null) return;
    const known = counts.get(selector.nft) ?? { selector, count: 0 };
    known.count += count;
    counts.set(selector.nft, known);
  };
  const groups = Map.groupBy(drops, (drop) =>
    JSON.stringify([drop.proto, isReply(drop) ? drop.sourcePort : drop.destinationPort, drop.icmp?.type]),
  );
  for (const members of groups.values()) {
    const [drop] = members;
    if (drop === undefined) continue;
    const count = countDrops(members);
    if (isReply(drop)) add(answers ?? select(drop, true), count);
    else {
      add(select(drop, false), count);
      if (chain.hook === "FORWARD" && drop.sourcePort !== null) add(answers ?? select(drop, false, true), 0);
    }
  }
  return [...counts.values()].toSorted((a, b) => b.count - a.count).map(({ selector }) => selector);
}

const ESTABLISHED: Selector = {
  iptables: "-m conntrack --ctstate RELATED,ESTABLISHED",
  nft: "ct state { established, related }",
};

/** Ports below this belong to services. */
const FIRST_CLIENT_PORT = 1024;
/** From here on Linux gives ports to clients (net.ipv4.ip_local_port_range): one that asks many ports is a scanner, no service. */
const FIRST_EPHEMERAL_PORT = 32_768;

/** Answers of a service come from its port and go to one that the client's system chose. */
function findReplies(drops: readonly DropFact[]): (drop: DropFact) => boolean {
  const peers = new Map<string, Set<number>>();
  const note = (key: string, port: number): void => void (peers.get(key) ?? newSet(key)).add(port);
  const newSet = (key: string): Set<number> => {
    const set = new Set<number>();
    peers.set(key, set);
    return set;
  };
  for (const { proto, sourcePort, destinationPort } of drops) {
    if (sourcePort === null || destinationPort === null) continue;
    note(`${proto} from ${sourcePort}`, destinationPort);
    note(`${proto} to ${destinationPort}`, sourcePort);
  }
  const spread = (key: string): number => peers.get(key)?.size ?? 0;
  return ({ proto, sourcePort, destinationPort }) => {
    if (sourcePort === null || destinationPort === null) return false;
    const [to, from] = [spread(`${proto} from ${sourcePort}`), spread(`${proto} to ${destinationPort}`)];
    if (to !== from) return to > from && sourcePort < FIRST_EPHEMERAL_PORT;
    return sourcePort < FIRST_CLIENT_PORT && destinationPort >= FIRST_CLIENT_PORT;
  };
}

/** `isReply`: by the port it comes from; `isReturn`: what answers such packets. */
function select(drop: DropFact, isReply: boolean, isReturn = false): Selector | null {
  const { proto, icmp } = drop;
  if (proto === null) return null;
  const port = isReply ? drop.sourcePort : drop.destinationPort;
  if (["tcp", "udp", "sctp", "dccp", "udplite"].includes(proto) && port !== null) {
    const side = isReply || isReturn ? "sport" : "dport";
    return { iptables: `-p ${proto} --${side} ${port}`, nft: `${proto} ${side} ${port}` };
  }
  if (proto === "icmp" && icmp !== null)
    return { iptables: `-p icmp --icmp-type ${icmp.type}`, nft: `icmp type ${icmp.type}` };
  if (proto === "icmpv6" && icmp !== null)
    return { iptables: `-p icmpv6 --icmpv6-type ${icmp.type}`, nft: `icmpv6 type ${icmp.type}` };
  const number = /^ip-(\d+)$/.exec(proto)?.[1] ?? (/^(?:gre|esp|ah)$/.test(proto) ? proto : null);
  return number === null ? null : { iptables: `-p ${number}`, nft: `meta l4proto ${number}` };
}
