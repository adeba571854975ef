import { runTool } from "../../../launch/tool.ts";
import { mapLimited } from "../../limit.ts";
import { splitWords } from "../parse/values.ts";
import type { RawSection } from "./raw.ts";
import { makeNonce, SHELL_FUNCTIONS, splitByFile, splitSections } from "./sections.ts";

/** Counter files of every namespace. All are opened by one process that has entered it. */
const FILES = splitWords(`
  dev snmp netstat snmp6 sockstat sockstat6 xfrm_stat udp udp6 udplite udplite6 raw raw6
  stat/nf_conntrack netfilter/nfnetlink_queue
`).map((name) => `/proc/net/${name}`);

/** Connection tracking says its size and limit here; /proc/sys/net is that of the process that reads it. */
const CONNTRACK_FILES = ["nf_conntrack_count", "nf_conntrack_max"].map(
  (name) => `/proc/sys/net/netfilter/${name}`,
);

/** Files with the same content in every namespace. */
const HOST_FILES = ["softnet_stat", "stat/arp_cache", "stat/ndisc_cache", "stat/rt_cache"].map(
  (name) => `/proc/net/${name}`,
);

/** One `grep` a namespace prints every line of every file with its path before it: no fork per file. */
const SCRIPT = `${SHELL_FUNCTIONS}
shift
index=0
for path; do
  mark "$index"
  index=$((index + 1))
  if [ "$path" = - ]; then
    grep -saH '' ${[...FILES, ...CONNTRACK_FILES, ...HOST_FILES].join(" ")}
  else
    nsenter --net="$path" -- grep -saH '' ${[...FILES, ...CONNTRACK_FILES].join(" ")}
  fi
  end $?
done
`;

/** Namespaces for one process to visit one after the other. */
const CHUNK = 32;
/** A namespace with 100,000 UDP sockets prints 15 MB. */
const MAX_BYTES = 128 * 1024 * 1024;
/** Chunks at the same time: more than the CPUs that a busy host can spare does not help. */
const CHUNKS_AT_ONCE = 2;

export type RawCounters = {
  /** Seconds since the epoch. */
  readonly takenAt: number;
  readonly sections: ReadonlyMap<string, RawSection>;
  /** Why there is nothing; null where there is. */
  readonly failure: string | null;
};

/**
 * Counter files of the namespaces at `paths` (null: our own), in their order. One that does not answer within `timeout`
 * seconds is left out, the others are still read, but no new attempt starts after `deadline` seconds. About 2 ms of CPU
 * time each.
 */
export async function collectCounters(
  paths: readonly (string | null)[],
  limits: { readonly timeout: number; readonly deadline: number },
): Promise<RawCounters[]> {
  const until = performance.now() + limits.deadline * 1000;
  const chunks: (string | null)[][] = [];
  const size = Math.max(1, Math.min(CHUNK, Math.ceil(paths.length / CHUNKS_AT_ONCE)));
  for (let start = 0; start < paths.length; start += size) chunks.push(paths.slice(start, start + size));
  const results = await mapLimited(chunks, CHUNKS_AT_ONCE, (chunk) =>
    collectChunk(chunk, limits.timeout, until),
  );
  return results.flat();
}

async function collectChunk(
  paths: readonly (string | null)[],
  timeout: number,
  until: number,
): Promise<RawCounters[]> {
  const results: RawCounters[] = [];
  while (results.length < paths.length && performance.now() < until) {
    // oxlint-disable-next-line no-await-in-loop -- a next round only follows one that got stuck
    const more = await visit(paths.slice(results.length), timeout);
    results.push(...more);
  }
  const takenAt = Date.now() / 1000;
  const failure = "the time for all namespaces was over";
  return [...results, ...paths.slice(results.length).map(() => ({ takenAt, sections: new Map(), failure }))];
}

/** Reads the namespaces one after the other, up to the one that gets stuck: that is the last result. */
async function visit(paths: readonly (string | null)[], timeout: number): Promise<RawCounters[]> {
  const nonce = makeNonce();
  const args = ["-c", SCRIPT, "sh", nonce, ...paths.map((path) => path ?? "-")];
  const outcome = await runTool("/bin/sh", args, { timeout, maxBytes: MAX_BYTES });
  const takenAt = Date.now() / 1000;
  const sections = splitSections(outcome.stdout, outcome.stderr, nonce);
  const why = outcome.ok ? "no answer" : outcome.message;
  const results: RawCounters[] = [];
  for (const index of paths.keys()) {
    const section = sections.get(String(index));
    if (section === undefined) break;
    results.push(toCounters(section, takenAt, why));
    if (section.status === null) break;
  }
  // Not even the first was begun: the shell itself does not run, and would not for the others.
  return results.length > 0 ? results : paths.map(() => ({ takenAt, sections: new Map(), failure: why }));
}

function toCounters(section: RawSection, takenAt: number, why: string): RawCounters {
  const files = section.status === null ? new Map<string, string>() : splitByFile(section.text);
  const failure =
    section.status === null ? why : files.size === 0 ? section.message || "nothing to read" : null;
  const sections = new Map([...files].map(([path, text]) => [path, { text, status: 0, message: "" }]));
  return { takenAt, sections, failure };
}
