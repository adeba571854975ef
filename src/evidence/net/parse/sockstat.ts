import { parseCount, splitLines, splitWords, toTable, type Parsed } from "./values.ts";

/** `/proc/net/sockstat` and `sockstat6`: `TCP: inuse 5 mem 1` becomes `TCP.inuse`, `TCP.mem` (memory of TCP and UDP in pages). */
export function parseSockstat(text: string): Parsed<{ readonly [name: string]: number }> {
  const entries: [string, number][] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    const [group, ...words] = splitWords(line);
    if (group === undefined || !group.endsWith(":") || words.length % 2 !== 0) {
      unread += 1;
      continue;
    }
    for (let index = 0; index < words.length; index += 2) {
      const value = parseCount(words[index + 1] ?? "");
      if (value === null) unread += 1;
      else entries.push([`${group.slice(0, -1)}.${words[index] ?? ""}`, value]);
    }
  }
  return { value: toTable(entries), unread };
}
