/** The firewall rule that is the cause of a finding. */
export interface FindingRule {
  readonly tool: string;
  readonly backend: "nft" | "legacy" | null;
  /** Of the table, where the tool has several (nft): `ip`, `ip6`, `inet`, `bridge`, `arp`, `netdev`. */
  readonly family?: string;
  readonly table: string;
  readonly chain: string;
  /** Position in its chain, from 1, where the tool counts so (iptables). */
  readonly number: number | null;
  readonly handle: number | null;
  readonly text: string;
  /** By how much its counter moved during the run; null where it has none. */
  readonly packets: number | null;
}

export type Severity = "problem" | "suspicious" | "info";

/** A diagnosis: one sentence an operator can act on, with its proof. Public shape, see docs/records.md. */
export interface Finding {
  readonly id: string;
  readonly severity: Severity;
  readonly summary: string;
  /** Events it explains. */
  readonly count: number;
  readonly netns: { readonly inode: number; readonly name: string | null } | null;
  readonly evidence: readonly string[];
  /** Commands to paste that show it. */
  readonly check: readonly string[];
  /** Commands to paste that mend it; never run by trace. */
  readonly fix: readonly string[];
  readonly rule?: FindingRule;
}
