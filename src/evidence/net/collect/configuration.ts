import { runTool } from "../../../launch/tool.ts";
import { mapLimited } from "../../limit.ts";
import { parseIpBatch } from "../parse/ip-batch.ts";
import { parseLinks } from "../parse/links.ts";
import { filterQuestions, parseQdiscs } from "../parse/qdiscs.ts";
import { CONFIGURATION_SCRIPT } from "./configuration-script.ts";
import type { RawSection } from "./raw.ts";
import { lastLine, makeNonce, splitSections } from "./sections.ts";

/** Devices asked for filters or driver statistics: a host with hundreds of them is not asked for all. */
const MAX_FILTERS = 16;
const MAX_DRIVERS = 8;

/** Names of the sections of one device's filters and driver statistics. Device names hold no blanks. */
export const FILTER_PREFIX = "tc filter ";
export const DRIVER_PREFIX = "ethtool -S ";

/**
 * Rules, routes, links, queues, sockets and settings of one namespace, by one shell script in it and a few questions
 * about its devices after that. `timeout` is for the whole, in seconds.
 */
export async function collectConfiguration(
  path: string | null,
  options: { readonly timeout: number; readonly nftLoaded: boolean },
): Promise<Map<string, RawSection>> {
  const end = performance.now() + options.timeout * 1000;
  const nonce = makeNonce();
  const args = ["-c", CONFIGURATION_SCRIPT, "sh", nonce, options.nftLoaded ? "yes" : "no"];
  const outcome = await runTool("/bin/sh", args, {
    netns: path,
    timeout: options.timeout,
    maxBytes: 64 * 1024 * 1024,
  });
  const sections = splitSections(outcome.stdout, outcome.stderr, nonce);
  if (sections.size === 0) {
    const message = outcome.ok ? "no output" : outcome.message;
    return new Map([["sh", { text: "", status: null, message }]]);
  }
  for (const [name, section] of sections) {
    if (section.status !== null) continue;
    const late = !outcome.ok && outcome.reason === "timeout";
    const message = late ? `no answer within ${options.timeout} s` : outcome.ok ? "cut off" : outcome.message;
    sections.set(name, { ...section, message });
  }
  const answers = await mapLimited(questionsFor(sections), 4, async ({ name, command, args: words }) => {
    const left = (end - performance.now()) / 1000;
    if (left < 0.05)
      return [name, { text: "", status: null, message: `no time left of ${options.timeout} s` }] as const;
    const answer = await runTool(command, words, { netns: path, timeout: left });
    const message = answer.ok ? lastLine(answer.stderr) : answer.message;
    return [name, { text: answer.stdout, status: answer.ok ? 0 : 1, message }] as const;
  });
  for (const [name, section] of answers) sections.set(name, section);
  return sections;
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
    .map(({ name }) => ({ name: `${DRIVER_PREFIX}${name}`, command: "ethtool", args: ["-S", name] }));
  return [...filters.slice(0, MAX_FILTERS), ...drivers.slice(0, MAX_DRIVERS)];
}
