import type { Facts } from "../../src/diagnose/facts.ts";
import type { NetDelta } from "../../src/evidence/net/types.ts";
import type { RunContext } from "../../src/probe/define.ts";
import { heldSockets, type EvidenceBook } from "../../src/reduce/evidence-book.ts";
import type { Names } from "../../src/reduce/names.ts";
import type { FlowCount } from "../../src/reduce/packet-counters.ts";
import { listPlaces } from "../../src/reduce/places.ts";
import type { StackBook } from "../../src/reduce/stacks.ts";
import { listDropFacts, tellDrop } from "./drop-facts.ts";
import type { ReasonTable } from "./reasons.ts";

/** Waiting UDP sockets of one namespace whose process is looked up: a resolver has thousands for a moment each. */
const MAX_WAITING = 64;
/** Where the usual net.ipv4.ip_local_port_range begins. */
const FIRST_CLIENT_PORT = 32_768;

/** Sockets that findings may name the process of: those that held or refused something, and waiting UDP sockets. */
export function socketsOfInterest(network: NetDelta): (number | null)[] {
  const sockets = network.state.counters.datagramSockets ?? [];
  const waiting = sockets.filter(({ remotePort }) => remotePort === 0);
  // Bound to one peer although they hold a port of a service: datagrams of others find nobody there.
  const bound = sockets.filter(
    ({ localPort, remotePort }) => remotePort !== 0 && localPort < FIRST_CLIENT_PORT,
  );
  const few = [...waiting.slice(0, MAX_WAITING), ...bound.slice(0, MAX_WAITING)];
  return [...heldSockets(network), ...few.map(({ inode }) => inode)];
}

export interface FactsInput {
  readonly seconds: number;
  /** As given on the command line. */
  readonly options: RunContext["options"];
  readonly flows: Iterable<FlowCount>;
  readonly names: Names;
  readonly reasons: ReasonTable;
  readonly book: StackBook;
  readonly evidence: EvidenceBook;
}

/** Options that leave packets out. Not `netns`: the evidence is that namespace's then, too. */
const FILTERS = ["reason", "dev", "host", "port", "proto", "pid", "comm", "cgroup"] as const;

/** The facts that rules read: flows with the functions of their stacks, and what changed on the host. */
export function buildFacts(input: FactsInput): Facts {
  const { names, reasons, book, evidence } = input;
  const drops = listDropFacts(input.flows, names, reasons, book);
  const places = listPlaces(
    names,
    drops.map(({ netns }) => netns),
    evidence.networks(),
  );
  return {
    seconds: input.seconds,
    drops,
    hasReason: (reason) => reasons.has(reason),
    isFiltered: FILTERS.some((name) => input.options[name] !== undefined),
    networks: evidence.networks(),
    places,
    owners: evidence.owners(),
    kernelLog: evidence.log.lines,
    earlierLog: evidence.log.earlier,
    describe: (drop) => tellDrop(drop, drop.netns === null ? null : (places.get(drop.netns) ?? null)),
  };
}
