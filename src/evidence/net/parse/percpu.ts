import type { TableStats } from "../types.ts";
import { parseHex, splitLines, splitWords, toTable, type Parsed } from "./values.ts";

/** In all these files the size of the one shared table, repeated on every line. */
const SHARED_COLUMN = "entries";

/**
 * `/proc/net/stat/{nf_conntrack,arp_cache,ndisc_cache,rt_cache}`: a line of names, then a line a CPU in hexadecimal;
 * summed over the CPUs. Null when there is no line to sum.
 */
export function parsePerCpu(text: string): Parsed<TableStats | null> {
  const [header, ...lines] = splitLines(text);
  const names = splitWords(header ?? "");
  const sums = new Map<string, number>();
  let unread = 0;
  let cpus = 0;
  for (const line of lines) {
    const values = splitWords(line).map(parseHex);
    if (values.length !== names.length || values.includes(null)) {
      unread += 1;
      continue;
    }
    cpus += 1;
    for (const [index, name] of names.entries()) {
      const value = values[index] ?? 0;
      sums.set(name, name === SHARED_COLUMN ? value : (sums.get(name) ?? 0) + value);
    }
  }
  return { value: cpus === 0 ? null : toTable(sums), unread };
}
