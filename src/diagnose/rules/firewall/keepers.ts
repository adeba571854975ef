import type { FirewallPlace } from "../../../evidence/net/types.ts";
import type { DropFact } from "../../facts.ts";
import { same } from "./words.ts";

/** Programs that keep rules of their own, by the names of their chains and tables, and how they are told. */
const KEEPERS: readonly {
  readonly name: string;
  readonly chain?: RegExp;
  readonly table?: RegExp;
  /** PORT, PROTO and SOURCE stand for what all packets have in common; left out where they have none. */
  readonly told: string;
}[] = [
  { name: "ufw", chain: /^ufw6?-/, told: "ufw allow PORT/PROTO" },
  { name: "firewalld", table: /^firewalld$/, told: "firewall-cmd --add-port=PORT/PROTO" },
  {
    name: "firewalld",
    chain: /^(?:IN|FWDI|FWDO|FWD)_\w+|_ZONES$/,
    told: "firewall-cmd --add-port=PORT/PROTO",
  },
  { name: "fail2ban", chain: /^(?:f2b|fail2ban)-/, told: "fail2ban-client unban SOURCE" },
  { name: "fail2ban", table: /^f2b-table$/, told: "fail2ban-client unban SOURCE" },
  { name: "CrowdSec", chain: /^CROWDSEC/, told: "cscli decisions delete --ip SOURCE" },
  { name: "CrowdSec", table: /^crowdsec6?/, told: "cscli decisions delete --ip SOURCE" },
  { name: "Docker", chain: /^DOCKER/, told: "rules of yours belong into chain DOCKER-USER" },
  { name: "Kubernetes", chain: /^KUBE-/, told: "look at the service and its endpoints" },
  { name: "Kubernetes", table: /^kube-proxy$/, told: "look at the service and its endpoints" },
  { name: "Calico", chain: /^cali-/, told: "look at its network policies" },
  { name: "Cilium", chain: /^(?:OLD_)?CILIUM_/, told: "look at its network policies" },
  { name: "libvirt", chain: /^LIBVIRT_/, told: "look at the network's definition: virsh net-dumpxml" },
  { name: "Istio", chain: /^ISTIO_/, told: "look at the sidecar's configuration" },
];

/** Who keeps the rule, and puts it back when it is deleted; null where no name tells. */
export function tellKeeper({ table, chain }: FirewallPlace, drops: readonly DropFact[]): string | null {
  const keeper = KEEPERS.find((one) => one.chain?.test(chain) === true || one.table?.test(table) === true);
  if (keeper === undefined) return null;
  const values: Readonly<Record<string, string | number | null>> = {
    PORT: same(drops, (drop) => drop.destinationPort),
    PROTO: same(drops, (drop) => drop.proto),
    SOURCE: same(drops, (drop) => drop.source),
  };
  const told = keeper.told.replaceAll(/PORT|PROTO|SOURCE/g, (word) => String(values[word] ?? word));
  return `${keeper.name} keeps this rule and may put it back; what lasts: ${told}`;
}
