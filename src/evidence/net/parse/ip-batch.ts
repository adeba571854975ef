import { parseJsonLists } from "./json.ts";
import { asRecord, type JsonRecord, type Parsed } from "./values.ts";

/** What one `ip -j -batch` printed, sorted by what the items are. */
export type IpLists = {
  readonly links: readonly JsonRecord[];
  readonly neighbours: readonly JsonRecord[];
  readonly netnsIds: readonly JsonRecord[];
  readonly rules: readonly JsonRecord[];
  readonly routes: readonly JsonRecord[];
};

type Kind = keyof IpLists;

/**
 * Output of `ip -j -s -s -d -batch` with `link show`, `neigh show`, `netns list-id`, `rule show`, `route show table all`.
 * Lists are told apart by what is in them, not by their order: a command that this ip does not know prints none.
 */
export function parseIpBatch(text: string): Parsed<IpLists> {
  const { lists, unread: broken } = parseJsonLists(text);
  const sorted: Record<Kind, JsonRecord[]> = {
    links: [],
    neighbours: [],
    netnsIds: [],
    rules: [],
    routes: [],
  };
  let unread = broken;
  for (const item of lists.flat()) {
    const record = asRecord(item);
    const kind = record === null ? null : kindOf(record);
    // iproute2 pads filtered dumps with empty objects.
    if (record !== null && Object.keys(record).length === 0) continue;
    if (record === null || kind === null) unread += 1;
    else sorted[kind].push(record);
  }
  return { value: sorted, unread };
}

function kindOf(record: JsonRecord): Kind | null {
  if ("ifname" in record) return "links";
  if ("nsid" in record) return "netnsIds";
  if ("priority" in record) return "rules";
  if ("state" in record || "lladdr" in record || "proxy" in record) return "neighbours";
  return "dst" in record ? "routes" : null;
}
