import { parseCount, splitLines, splitWords, toTable, type Parsed } from "./values.ts";

/** Counters by their full name (`TcpRetransSegs`). */
export type CounterTable = { readonly [name: string]: number };

/**
 * `/proc/net/snmp` and `/proc/net/netstat`: a line of names and a line of values for each group. Names come out as
 * nstat prints them: group and name in one word (`TcpRetransSegs`, `TcpExtListenOverflows`, `IpExtInNoRoutes`).
 */
export function parseMibPairs(text: string): Parsed<CounterTable> {
  const entries: [string, number][] = [];
  let unread = 0;
  let names: string[] | null = null;
  for (const line of splitLines(text)) {
    const words = splitWords(line);
    const group = words[0];
    if (group === undefined || !/^[A-Za-z0-9]+:$/.test(group)) {
      unread += 1;
      names = null;
    } else if (names === null || names[0] !== group) {
      if (names !== null) unread += 1;
      names = words;
    } else {
      for (const [index, name] of names.entries()) {
        if (index === 0) continue;
        const value = parseCount(words[index] ?? "");
        if (value === null) unread += 1;
        else entries.push([group.slice(0, -1) + name, value]);
      }
      names = null;
    }
  }
  return { value: toTable(entries), unread: unread + (names === null ? 0 : 1) };
}

/** `/proc/net/snmp6` and `/proc/net/xfrm_stat`: a full name and a value a line. */
export function parseMibLines(text: string): Parsed<CounterTable> {
  const entries: [string, number][] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    const [name, value, ...rest] = splitWords(line);
    const count = parseCount(value ?? "");
    if (name === undefined || count === null || rest.length > 0) unread += 1;
    else entries.push([name, count]);
  }
  return { value: toTable(entries), unread };
}

/** Values in these files that are settings or go down again: no events (RFC 4022 and 4293 names, net/mptcp/mib.c). */
const GAUGES = new Set([
  "IpForwarding",
  "IpDefaultTTL",
  "TcpRtoAlgorithm",
  "TcpRtoMin",
  "TcpRtoMax",
  "TcpMaxConn",
  "TcpCurrEstab",
  "MPTcpExtMPCurrEstab",
]);

/** Parts what only grows from what does not. */
export function partGauges(table: CounterTable): { counters: CounterTable; gauges: CounterTable } {
  const entries = Object.entries(table);
  return {
    counters: toTable(entries.filter(([name]) => !GAUGES.has(name))),
    gauges: toTable(entries.filter(([name]) => GAUGES.has(name))),
  };
}
