import { findNetwork, type Facts } from "../../facts.ts";

const TOOLS: Readonly<Record<"nft" | "iptablesNft" | "legacy", string>> = {
  nft: "nft",
  iptablesNft: "iptables-save",
  legacy: "iptables-legacy-save",
};

/** Which firewall tools could not be read in a namespace, and why; null when all could. */
export function tellUnread(facts: Facts, netns: number | null): string | null {
  const network = findNetwork(facts, netns);
  if (network === null)
    return "the rules of this namespace could not be read: there was no way in, or it is gone";
  const { configuration } = network.state;
  if (configuration === null)
    return `the rules of this namespace were not read: ${whyMissing(facts, netns, "configuration")}`;
  const { firewallRead } = configuration;
  const unread = (["nft", "iptablesNft", "legacy"] as const)
    .filter((tool) => !firewallRead[tool])
    .map((tool) => TOOLS[tool]);
  if (unread.length === 0) return null;
  const told = unread.map((tool) => `${tool} (${whyMissing(facts, netns, tool)})`);
  return `rules that could not be read: ${told.join(", ")}`;
}

function whyMissing(facts: Facts, netns: number | null, tool: string): string {
  const missing = findNetwork(facts, netns)?.missing ?? [];
  return missing.find(({ what }) => what.startsWith(tool))?.why ?? "no answer";
}
