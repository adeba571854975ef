import { formatCount } from "../../../text/format.ts";
import { rankDrops, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { findNetwork, type DropFact, type Facts, type Place } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { findPlace, nameNetns } from "../../where.ts";
import type { Unexplained } from "./candidates.ts";
import { nameDrops } from "./count.ts";
import { tellEffects, tellFlows } from "./evidence.ts";
import { isFromBridge, isNftSite } from "./netfilter-drop.ts";
import { traceRecipe } from "./trace-recipe.ts";
import { tellUnread } from "./unread.ts";
import { same, tellPackets } from "./words.ts";

/** Drops by netfilter for which there is neither a rule nor a table: says what could not be read, and where to look. */
export function unexplainedFinding(facts: Facts, { netns, count, drops }: Unexplained): Finding {
  const place = findPlace(facts, netns);
  const network = findNetwork(facts, netns);
  const unread = tellUnread(facts, netns);
  const hook = same(drops, (drop) => drop.hook);
  const sites = tellShares(rankDrops(drops, (drop) => drop.location));
  const evidence = [
    `${formatCount(count)} ${nameDrops(drops, hook)}; no rule, policy or connection tracking counter accounts for them`,
    tellFlows(drops),
    unread,
    unread === null ? tellOthers(drops) : null,
    sites === null ? null : `freed in ${sites}: the profile shows the way there`,
    ...(network === null ? [] : tellEffects(facts, network, drops, null)),
  ];
  return {
    id: unread === null ? "netfilter-unexplained" : "netfilter-unreadable",
    severity: "suspicious",
    summary: `The firewall drops ${tellPackets(hook, drops, false)}, and ${unread === null ? "no rule that trace can read explains it" : "its rules could not all be read"}`,
    count,
    netns: nameNetns(facts, netns),
    evidence: evidence.filter((line) => line !== null),
    check: [...checks(drops).map((command) => inNetns(place, command)), ...recipes(place, drops, hook)],
    fix:
      unread === null && drops.every(isNftSite)
        ? [
            "# nothing to do now: it is gone. Should it come back, look for what puts it there: nft monitor shows when",
          ]
        : [],
  };
}

/** What else can say NF_DROP. */
function tellOthers(drops: readonly DropFact[]): string {
  if (drops.every(isNftSite))
    return "an nftables chain said so, and neither the rules at the start of the run nor those at its end can have: one that came and went in between";
  if (drops.every(({ icmp }) => icmp?.type === 5))
    return "address translation drops ICMP redirects of connections that it translates (nf_nat_icmp_reply_translation): harmless";
  return "other code than rules can say so: a BPF netfilter program, IPVS, a helper of connection tracking, SYNPROXY";
}

/** What an nftables chain drops, a trace shows. */
function recipes(place: Place | null, drops: readonly DropFact[], hook: DropFact["hook"]): string[] {
  if (!drops.every(isNftSite)) return [];
  const recipe = traceRecipe(place, { family: "inet", hook, devices: [] }, drops);
  return recipe === null ? [] : [recipe];
}

function checks(drops: readonly DropFact[]): string[] {
  const tables = ["nft -a list ruleset"];
  const isBridge = drops.some(isFromBridge);
  const isArp = drops.some(({ proto }) => proto === "arp");
  if (drops.every(isNftSite)) return tables;
  if (isBridge) tables.push("ebtables-legacy -L --Lc");
  if (isArp) tables.push("arptables-legacy -L -v -n");
  return [
    ...tables,
    "iptables-legacy-save -c",
    "ip6tables-legacy-save -c",
    "bpftool link show",
    "cat /proc/net/ip_vs_stats",
  ];
}
