import type { DropDescription, DropFact, Facts, Owner, Place } from "../../src/diagnose/facts.ts";
import { fillTemplates } from "../../src/diagnose/templates.ts";
import { createNetworkLog, type NetworkLog } from "../../src/evidence/kernel-log/network.ts";
import { deltaNets } from "../../src/evidence/net/delta.ts";
import { isRawNet, parseNet, type RawNet } from "../../src/evidence/net/snapshot.ts";
import type { NetDelta } from "../../src/evidence/net/types.ts";
import type { Fact, Json, JsonObject, RunContext } from "../../src/probe/define.ts";
import { describeDrop } from "./catalogue.ts";
import type { FlowCount } from "./counters.ts";
import type { Names } from "./names.ts";
import { nameFlow, type ReasonNames } from "./rows.ts";
import { ownPart, type StackBook } from "./stacks.ts";

/** Collects what the host says of itself at both ends of the run. */
export interface EvidenceBook {
  fact(fact: Fact): void;
  /** What changed; empty until the second snapshot is there. */
  networks(): readonly NetDelta[];
  owners(): ReadonlyMap<number, Owner>;
  /** What the kernel logged of lost packets. */
  readonly log: NetworkLog;
}

export function createEvidenceBook(context: Pick<RunContext, "ask" | "notice">): EvidenceBook {
  const ends: { before: RawNet[]; after: RawNet[] } = { before: [], after: [] };
  const owners = new Map<number, Owner>();
  const log = createNetworkLog();
  let deltas: readonly NetDelta[] = [];
  return {
    log,
    fact({ fact, key, value }) {
      if (fact === "kernel-log") {
        log.read(key, value);
        if (key === "error")
          context.notice(
            "info",
            "degraded",
            `the kernel log (/dev/kmsg) cannot be read (${log.error ?? "unknown"}): what it says of lost packets is missing`,
          );
      }
      if (fact === "owner") {
        const owner = readOwner(value);
        if (owner !== null) owners.set(Number(key), owner);
      }
      if (fact !== "network" || (key !== "before" && key !== "after")) return;
      ends[key] = Array.isArray(value) ? (value as readonly unknown[]).filter(isRawNet) : [];
      if (key === "before") return;
      deltas = deltaNets(ends.before.map(parseNet), ends.after.map(parseNet));
      for (const { level, message } of listGaps(deltas)) context.notice(level, "degraded", message);
      for (const socket of deltas.flatMap(socketsOfInterest))
        context.ask({ fact: "owner", key: String(socket) });
    },
    networks: () => deltas,
    owners: () => owners,
  };
}

/** As the sections of a snapshot say it (src/evidence/net/section-reader.ts). */
const NOT_INSTALLED = "not installed";

/** A gap that another run, or --netns, may fill: worth a line also for whoever did not ask for notes. Others (gone, no such tool) stay. */
const OUT_OF_TIME =
  /no answer|no time left|took longer than|the time for all namespaces|this host has more than/;

interface Gap {
  readonly level: "info" | "warning";
  readonly message: string;
}

/** What a snapshot calls the parts of a namespace that are read together. */
const WHOLES: Readonly<Record<string, string>> = {
  "/proc/net": "counters, rules and settings",
  configuration: "rules and settings",
};

/** Namespaces named in one notice. */
const MAX_NAMED = 3;

/**
 * What the findings had to do without, in words: a namespace that did not answer, a tool that is not installed. One
 * sentence for each reason, however many namespaces share it.
 */
export function listGaps(networks: readonly NetDelta[]): Gap[] {
  const gaps = networks.flatMap(({ netns, missing }) =>
    missing
      // What got stuck is told; what would have been asked after it is the same gap.
      .filter(({ why }) => !why.startsWith("not asked, because"))
      // A tool that is not there misses for all that it would have been asked.
      .map(({ what, why }) => ({
        netns,
        why,
        what: why === NOT_INSTALLED ? (what.split(" ")[0] ?? what) : what,
      })),
  );
  return [...Map.groupBy(gaps, ({ what, why }) => JSON.stringify([what, why])).values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    if (first.why === NOT_INSTALLED)
      return {
        level: "info" as const,
        message: `${first.what} is not installed: its evidence is missing; trace doctor names the package`,
      };
    const names = [...new Set(group.map(({ netns }) => netns.name ?? String(netns.inode)))];
    const shown = names.slice(0, MAX_NAMED).join(", ");
    const rest = names.length - MAX_NAMED;
    const where = `${names.length === 1 ? "namespace" : "namespaces"} ${shown}${rest > 0 ? ` and ${rest} more` : ""}`;
    const whole = WHOLES[first.what];
    // Of a tool that was cut off what it had said by then is used.
    const message =
      whole === undefined
        ? `${first.what} of ${where} could not be read in full: ${first.why}`
        : `${whole} of ${where} could not be read: ${first.why}`;
    return { level: OUT_OF_TIME.test(first.why) ? ("warning" as const) : ("info" as const), message };
  });
}

/** Waiting UDP sockets of one namespace whose process is looked up: a resolver has thousands for a moment each. */
const MAX_WAITING = 64;
/** Where the usual net.ipv4.ip_local_port_range begins. */
const FIRST_CLIENT_PORT = 32_768;

/** Listeners, waiting UDP sockets and datagram sockets that refused something: findings name their process. */
function socketsOfInterest(network: NetDelta): number[] {
  const sockets = network.state.counters.datagramSockets ?? [];
  const waiting = sockets.filter(({ remotePort }) => remotePort === 0);
  // Bound to one peer although they hold a port of a service: datagrams of others find nobody there.
  const bound = sockets.filter(
    ({ localPort, remotePort }) => remotePort !== 0 && localPort < FIRST_CLIENT_PORT,
  );
  const inodes = [
    ...network.listeners.map((listener) => listener.inode),
    ...network.datagramSockets.map((socket) => socket.inode),
    ...waiting.slice(0, MAX_WAITING).map((socket) => socket.inode),
    ...bound.slice(0, MAX_WAITING).map((socket) => socket.inode),
  ];
  return inodes.filter((inode): inode is number => inode !== null && inode > 0);
}

function readOwner(value: Json): Owner | null {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const { pid, comm } = value as { pid?: Json; comm?: Json };
  return typeof pid === "number" ? { pid, comm: typeof comm === "string" ? comm : "?" } : null;
}

export interface FactsInput {
  readonly seconds: number;
  /** As given on the command line. */
  readonly options: RunContext["options"];
  readonly flows: Iterable<FlowCount>;
  readonly names: Names;
  readonly reasons: ReasonNames;
  readonly book: StackBook;
  readonly evidence: EvidenceBook;
}

/** Options that leave packets out. Not `netns`: the evidence is that namespace's then, too. */
const FILTERS = ["reason", "dev", "host", "port", "proto", "pid", "comm", "cgroup"] as const;

/** The facts that rules read: flows with the functions of their stacks, and what changed on the host. */
export function buildFacts(input: FactsInput): Facts {
  const { names, reasons, book, evidence } = input;
  const drops: DropFact[] = [];
  const places = new Map<number, Place>();
  const remember = (inode: number) => {
    const place = names.netns(inode);
    if (place !== null) places.set(inode, place);
  };
  for (const { key, count, bytes } of input.flows) {
    if (count === 0) continue;
    const named = nameFlow(key, names, reasons);
    const functions = new Set(book.find(key).flatMap((stack) => ownPart(stack.frames)));
    drops.push({
      ...named,
      netns: key.netns === 0 ? null : key.netns,
      functions: [...functions],
      count,
      bytes,
    });
    remember(key.netns);
  }
  for (const network of evidence.networks()) {
    remember(network.netns.inode);
    // It came during the run and dropped nothing: nobody asked who it is, but the evidence was read in it.
    if ((places.get(network.netns.inode)?.kind ?? "unknown") === "unknown") {
      places.set(network.netns.inode, placeOf(network));
    }
  }
  return {
    seconds: input.seconds,
    drops: drops.sort((a, b) => b.count - a.count),
    hasReason: (reason) => reasons.has(reason),
    isFiltered: FILTERS.some((name) => input.options[name] !== undefined),
    networks: evidence.networks(),
    places,
    owners: evidence.owners(),
    kernelLog: evidence.log.lines,
    earlierLog: evidence.log.earlier,
    describe: (drop) => describe(drop, drop.netns === null ? null : (places.get(drop.netns) ?? null)),
  };
}

function placeOf({ netns, state: { path } }: NetDelta): Place {
  const isNamed = netns.name !== null && path === `/run/netns/${netns.name}`;
  return { ...netns, kind: isNamed ? "named" : "unknown", path, pid: null };
}

/** The catalogue's words for a drop, its commands filled in with the drop's own values. */
function describe(drop: DropFact, place: Place | null): DropDescription | null {
  const entry = describeDrop(drop.reason, drop.location);
  if (entry === null) return null;
  const values = {
    place,
    dev: drop.dev,
    port: drop.destinationPort,
    source: drop.source,
    destination: drop.destination,
  };
  return {
    meaning: entry.meaning,
    class: entry.class,
    reasons: "reasons" in entry ? entry.reasons : drop.reason === null ? [] : [drop.reason],
    check: fillTemplates(entry.check, values),
    fix: fillTemplates(entry.fix, values),
  };
}

/** The summary's `counters`: what moved, most first. */
export function counterRecords(networks: readonly NetDelta[]): JsonObject[] {
  return networks.flatMap((network) =>
    network.counters.map(({ netns, name, before, after, delta }) => ({
      netns: { inode: netns.inode, name: netns.name },
      name,
      before,
      after,
      delta,
    })),
  );
}

/** The summary's `interfaces`: every device with its counters at both ends. */
export function interfaceRecords(networks: readonly NetDelta[]): JsonObject[] {
  return networks.flatMap((network) =>
    network.interfaces.map(({ netns, details: _details, driver: _driver, ...rest }) => ({
      ...(rest as unknown as JsonObject),
      netns: { inode: netns.inode, name: netns.name },
    })),
  );
}
