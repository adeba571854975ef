import { runTool } from "../../../launch/tool.ts";
import { mapLimited } from "../../limit.ts";
import { parseIpBatch } from "../parse/ip-batch.ts";
import { parseLinks } from "../parse/links.ts";
import { filterQuestions, parseQdiscs } from "../parse/qdiscs.ts";
import { CONFIGURATION_SCRIPT, VISIT_SCRIPT } from "./configuration-script.ts";
import type { Link } from "../types.ts";
import type { RawSection } from "./raw.ts";
import { lastLine, makeNonce, splitSections, splitVisits } from "./sections.ts";

/** Devices asked for filters or driver statistics: a host with hundreds of them is not asked for all. */
const MAX_FILTERS = 16;
const MAX_DRIVERS = 8;
/** A namespace with a million routes prints 60 MB. */
const MAX_BYTES = 128 * 1024 * 1024;

/** Names of the sections of one device's filters, driver statistics and rings. Device names hold no blanks. */
export const FILTER_PREFIX = "tc filter ";
export const DRIVER_PREFIX = "ethtool -S ";
export const RING_PREFIX = "ethtool -g ";

export type ConfigurationOptions = {
  /** Seconds for one namespace, and for a group of them. */
  readonly timeout: number;
  /** `performance.now()` after which no further group is begun. */
  readonly until: number;
  /** Groups at the same time. */
  readonly concurrency: number;
  readonly nftLoaded: boolean;
  /** Only what counts: rules, listeners, queues, links. */
  readonly brief: boolean;
};

/** Namespaces for one process to visit: starting one costs this process as much as asking a namespace does (4 ms). */
const GROUP = 16;

/**
 * Rules, routes, links, queues, sockets and settings of the namespaces at `paths` (null: our own), in their order: by one shell script
 * in each, and a few questions about its devices after that. Null for one that was not begun in time.
 */
export async function collectConfigurations(
  paths: readonly (string | null)[],
  options: ConfigurationOptions,
): Promise<(Map<string, RawSection> | null)[]> {
  const size = Math.max(1, Math.min(GROUP, Math.ceil(paths.length / options.concurrency)));
  const groups: (string | null)[][] = [];
  for (let start = 0; start < paths.length; start += size) groups.push(paths.slice(start, start + size));
  const results = await mapLimited(groups, options.concurrency, (group) => collectGroup(group, options));
  return results.flat();
}

async function collectGroup(
  paths: readonly (string | null)[],
  options: ConfigurationOptions,
): Promise<(Map<string, RawSection> | null)[]> {
  const results: (Map<string, RawSection> | null)[] = [];
  while (results.length < paths.length && performance.now() < options.until) {
    // oxlint-disable-next-line no-await-in-loop -- a next round only follows one that got stuck
    results.push(...(await visit(paths.slice(results.length), options)));
  }
  return [...results, ...paths.slice(results.length).map(() => null)];
}

/**
 * Reads the namespaces one after the other, up to the one that does not come to its end in time: the next round begins with that one,
 * and one that does not even when it is the first is left as it is.
 */
async function visit(
  paths: readonly (string | null)[],
  { timeout, nftLoaded, brief }: ConfigurationOptions,
): Promise<Map<string, RawSection>[]> {
  const end = performance.now() + timeout * 1000;
  const nonce = makeNonce();
  const words = [nonce, nftLoaded ? "yes" : "no", brief ? "brief" : "full"];
  const args = [
    "-c",
    VISIT_SCRIPT,
    "sh",
    CONFIGURATION_SCRIPT,
    ...words,
    ...paths.map((path) => path ?? "-"),
  ];
  const outcome = await runTool("/bin/sh", args, { timeout, maxBytes: MAX_BYTES });
  const messages = splitVisits(outcome.stderr, nonce);
  const visits = splitVisits(outcome.stdout, nonce).map((text, index) => {
    const sections = splitSections(`\n${text}`, `\n${messages[index] ?? ""}`, nonce);
    return { sections, isDone: sections.delete("done"), said: messages[index] ?? "" };
  });
  const whole = visits.filter(({ isDone }) => isDone);
  const told = whole.length > 0 ? whole : visits.slice(0, 1);
  if (told.length === 0) {
    const message = outcome.ok ? "no output" : outcome.message;
    return [new Map([["sh", { text: "", status: null, message }]])];
  }
  return await mapLimited(told, 1, async ({ sections, said }, index) => {
    if (sections.size === 0) {
      const message = firstMessage(said, nonce) || (outcome.ok ? "no output" : outcome.message);
      return new Map([["sh", { text: "", status: null, message }]]);
    }
    for (const [name, section] of sections) {
      if (section.status !== null) continue;
      const late = !outcome.ok && outcome.reason === "timeout";
      const message = late ? `no answer within ${timeout} s` : outcome.ok ? "cut off" : outcome.message;
      sections.set(name, { ...section, message });
    }
    await askDevices(sections, paths[index] ?? null, { timeout, end });
    return sections;
  });
}

/** What was said before the script in the namespace began: why it could not be entered. */
function firstMessage(said: string, nonce: string): string {
  return lastLine(said.split(`\n\u001e${nonce} `)[0] ?? "");
}

/** Filters and driver statistics, where the links and queues say that there are any. */
async function askDevices(
  sections: Map<string, RawSection>,
  path: string | null,
  { timeout, end }: { readonly timeout: number; readonly end: number },
): Promise<void> {
  const answers = await mapLimited(questionsFor(sections), 4, async ({ name, command, args: words }) => {
    const left = (end - performance.now()) / 1000;
    if (left < 0.05)
      return [name, { text: "", status: null, message: `no time left of ${timeout} s` }] as const;
    const answer = await runTool(command, words, { netns: path, timeout: left });
    const message = answer.ok ? lastLine(answer.stderr) : answer.message;
    return [name, { text: answer.stdout, status: answer.ok ? 0 : 1, message }] as const;
  });
  for (const [name, section] of answers) {
    // A driver that does not tell of its ring is no gap in the evidence.
    if (section.status === 0 || !name.startsWith(RING_PREFIX)) sections.set(name, section);
  }
}

type Question = { readonly name: string; readonly command: string; readonly args: readonly string[] };

function questionsFor(sections: ReadonlyMap<string, RawSection>): Question[] {
  const qdiscs = parseQdiscs(sections.get("tc qdisc")?.text ?? "").value ?? [];
  const filters = filterQuestions(qdiscs).map(({ dev, direction }) => ({
    name: `${FILTER_PREFIX}${direction} ${dev}`,
    command: "tc",
    args: ["-j", "-s", "filter", "show", "dev", dev, ...(direction === "classify" ? [] : [direction])],
  }));
  const links = parseLinks(parseIpBatch(sections.get("ip")?.text ?? "").value.links, new Map()).value;
  const drivers = links
    // A veth too counts what its XDP program drops. ethtool would take a name with a dash for an option.
    .filter((link) => (link.physical || link.xdp.length > 0) && !link.name.startsWith("-"))
    .slice(0, MAX_DRIVERS);
  const losers = sections.has("brief") ? [] : drivers.filter((link) => link.physical && hasLost(link));
  return [
    ...filters.slice(0, MAX_FILTERS),
    ...drivers.map(({ name }) => ({
      name: `${DRIVER_PREFIX}${name}`,
      command: "ethtool",
      args: ["-S", name],
    })),
    ...losers.map(({ name }) => ({ name: `${RING_PREFIX}${name}`, command: "ethtool", args: ["-g", name] })),
  ];
}

/** Whether the device ever lost a packet for want of room: only then the size of its ring is of interest. */
function hasLost({ stats }: Link): boolean {
  return [
    "rx.dropped",
    "rx.errors",
    "rx.over_errors",
    "rx.fifo_errors",
    "rx.missed_errors",
    "tx.dropped",
  ].some((name) => (stats[name] ?? 0) > 0);
}
