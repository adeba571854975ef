import { asList, splitLines } from "./values.ts";

/**
 * A JSON text that ip, tc or nft printed, or undefined when it is none. iproute2 prints control characters of
 * device names as they are (lib/json_writer.c escapes seven characters only): they are escaped first.
 */
export function parseToolJson(text: string): unknown {
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is repaired
  const repaired = text.replace(/[\u0000-\u0009\u000b-\u001f]/g, (character) =>
    character === "\t" || character === "\r"
      ? " "
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  try {
    return JSON.parse(repaired) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * The items of all lists that `ip -batch` printed, one list a line, in order. `unread` counts lines that are no list.
 */
export function parseJsonLists(text: string): { lists: (readonly unknown[])[]; unread: number } {
  const lists: (readonly unknown[])[] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    const value = parseToolJson(line);
    if (Array.isArray(value)) lists.push(asList(value));
    else unread += 1;
  }
  return { lists, unread };
}
