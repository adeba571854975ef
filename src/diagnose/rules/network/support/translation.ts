import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatCount } from "../../../../text/format.ts";

/** Rules that made this address the destination of packets meant for another (DNAT), with the connections they counted; null: none. */
export function tellTranslation(network: NetDelta | null, address: string): string | null {
  const isAddress = new RegExp(`(?:^|[^\\d.])${address.replaceAll(".", "\\.")}(?![\\d.])`);
  const rules = (network?.rules ?? []).filter(
    ({ verdicts, text, packets }) =>
      packets.delta !== 0 &&
      verdicts.some(({ kind, target }) => kind === "other" && /^(?:dnat|redirect)$/i.test(target ?? "")) &&
      isAddress.test(text),
  );
  if (rules.length === 0) return null;
  const told = rules
    .slice(0, 3)
    .map(
      ({ text, packets }) => `${text}${packets.delta === null ? "" : ` (+${formatCount(packets.delta)})`}`,
    );
  return `address translation sends packets to ${address}: ${told.join("; ")}`;
}
