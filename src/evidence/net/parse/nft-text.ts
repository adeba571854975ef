/** Identity of an nft rule: handles are unique within a table only. */
export function ruleKey(rule: {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number | null;
}): string {
  return JSON.stringify([rule.family, rule.table, rule.chain, rule.handle]);
}

/** What only `nft -a list ruleset` tells of rules and chains. */
export type NftTexts = {
  /** By `ruleKey`, without handle, counts and what else packets change. */
  readonly rules: ReadonlyMap<string, string>;
  /** Devices that a chain is bound to, by `ruleKey` of the chain (handle null): not in the JSON before nft 1.1. */
  readonly devices: ReadonlyMap<string, readonly string[]>;
};

export const NO_TEXTS: NftTexts = { rules: new Map(), devices: new Map() };

/**
 * Reads the text form of a ruleset. Lines of sets, maps and flowtables are passed over. A comment inside a rule cannot
 * end the line: the handle comes last.
 */
export function parseNftTexts(text: string): NftTexts {
  const rules = new Map<string, string>();
  const devices = new Map<string, readonly string[]>();
  let [family, table, chain]: (string | null)[] = [null, null, null];
  for (const line of text.split("\n")) {
    const [, newFamily, newTable] = /^table (\S+) (\S+) \{(?: # handle \d+)?$/.exec(line) ?? [];
    if (newFamily !== undefined && newTable !== undefined)
      [family, table, chain] = [newFamily, newTable, null];
    const [, block, name] = /^\t(\S[^{]*?) (\S+) \{/.exec(line) ?? [];
    if (block !== undefined) chain = block === "chain" ? (name ?? null) : null;
    if (family == null || table == null || chain == null) continue;
    const [, rule, handle] = /^\t\t(\S.*) # handle (\d+)$/.exec(line) ?? [];
    if (rule !== undefined) {
      rules.set(ruleKey({ family, table, chain, handle: Number(handle) }), withoutState(rule));
      continue;
    }
    const bound = parseDevices(line);
    if (bound !== null) devices.set(ruleKey({ family, table, chain, handle: null }), bound);
  }
  return { rules, devices };
}

/** A rule's text without what its packets change in it, so that it is the same before and after. */
function withoutState(rule: string): string {
  return rule
    .replaceAll(/\bcounter packets \d+ bytes \d+/g, "counter")
    .replaceAll(/\b(quota (?:over |until )?\d+ \w+) used \d+ \w+/g, "$1")
    .replaceAll(/\blast used \S+/g, "last");
}

/** `type filter hook ingress devices = { eth0, "eth1" } priority …`, or `device "eth0"`. */
function parseDevices(line: string): string[] | null {
  const [, list, single] =
    /^\t\ttype \S+ hook \S+ (?:devices = \{ (.*) \}|device (\S+)) priority /.exec(line) ?? [];
  const names = list?.split(/, ?/) ?? (single === undefined ? null : [single]);
  return names?.map((name) => name.replaceAll('"', "")) ?? null;
}
