import { formatCount, plural } from "../../../text/format.ts";
import { countDrops } from "../../amounts.ts";
import type { DropFact } from "../../facts.ts";
import type { Explained } from "./attribute.ts";
import type { Suspect } from "./suspect.ts";
import { hookOf } from "./words.ts";

/** What was seen of a kind of drops: `NETFILTER_DROP at INPUT`, or on kernels without reasons `drops in nf_hook_slow at INPUT`. */
export function nameDrops(drops: readonly DropFact[], hook: string | null): string {
  const [first] = drops;
  const name =
    first?.reason === "NETFILTER_DROP" ? first.reason : `drops in ${first?.location ?? "netfilter"}`;
  return hook === null ? name : `${name} at ${hook}`;
}

/** The proof: how the counter's movement compares with the drops seen. `all`: everything that was explained in that namespace. */
export function tellCount(
  own: Explained,
  {
    all,
    seen,
    isFiltered,
  }: {
    readonly all: readonly Explained[];
    readonly seen: readonly DropFact[];
    readonly isFiltered: boolean;
  },
): string {
  const { suspect, count, beside, drops } = own;
  const counted = suspect.counted ?? count;
  const hooks = new Set(drops.map(({ hook }) => hook));
  const total = countDrops(seen.filter(({ hook }) => hooks.has(hook)));
  const name = nameDrops(drops, nameHook(suspect, drops));
  const moved = `its counter moved by ${formatCount(counted)}`;
  if (own.isReset) {
    const seenOf = `${formatCount(count)} ${name} of such packets were seen`;
    if (!suspect.isReset)
      return `${moved}; ${seenOf}, and nothing else there can have dropped them: it was set back during the run`;
    const isRemade = suspect.kind === "rule" && suspect.rule.presence === "added";
    const what = isRemade
      ? "the rule was made anew during the run"
      : "its counter was set back during the run";
    return `${what} and shows ${formatCount(counted)} since; ${seenOf}`;
  }
  if (beside > 0) {
    return `${moved}; ${formatCount(count + beside)} ${name} of such packets were seen, ${formatCount(beside)} of them while the counters were being read: events are counted from a little before that to a little after it`;
  }
  if (counted === total) return `${moved}, as many as ${name} were seen`;
  if (counted === countDrops(drops)) {
    return `${moved}, as many as ${name} of such packets were seen (${formatCount(total)} of all kinds)`;
  }
  const others = all.filter((item) => item !== own && item.drops.some(({ hook }) => hooks.has(hook)));
  const together = others.reduce((sum, item) => sum + item.count, count);
  if (counted === count && others.length > 0 && together === total) {
    return `${moved}; with ${plural(others.length, "other cause")} that is all ${formatCount(total)} ${name} that were seen`;
  }
  if (counted === count) return `${moved}; ${formatCount(total)} ${name} were seen in all`;
  const rest = isFiltered
    ? "not all packets were looked at"
    : "the rest came before or after, or is in no flow";
  return `${moved}; ${formatCount(count)} ${name} were seen: ${rest}`;
}

/** Hooks of devices, bridges and ARP are none of those that drop records tell apart. */
function nameHook(suspect: Suspect, drops: readonly DropFact[]): string | null {
  const place = suspect.kind === "rule" ? suspect.rule : suspect.kind === "policy" ? suspect.chain : null;
  const seen = new Set(drops.map(({ hook }) => hook));
  const isOdd =
    place !== null && (["netdev", "bridge", "arp"].includes(place.family) || place.hooks.includes("INGRESS"));
  if (!isOdd) return seen.size === 1 ? ([...seen][0] ?? null) : null;
  const hook = hookOf(place.hooks, drops);
  return place.family === "bridge" || place.family === "arp" ? `${hook} (${place.family})` : hook;
}
