import { changeOf } from "../../../src/evidence/change.ts";
import type {
  Link,
  PolicyRule,
  Qdisc,
  QdiscDelta,
  Route,
  SoftnetDelta,
} from "../../../src/evidence/net/types.ts";
import { diagnose } from "../../../src/diagnose/diagnose.ts";
import type { Facts } from "../../../src/diagnose/facts.ts";
import type { Finding } from "../../../src/diagnose/finding.ts";
import { NETWORK_RULES } from "../../../src/diagnose/rules/network/index.ts";
import { NETNS } from "./support.ts";

export const examine = (facts: Facts): Finding[] => diagnose(facts, NETWORK_RULES);

/** One line for each finding: `rp-filter problem 20`. */
export const outline = (facts: Facts): string[] =>
  examine(facts).map(({ id, severity, count }) => `${id} ${severity} ${count}`);

/** An ethernet card that works, with what is given instead. */
export function makeLink(fields: Partial<Link> = {}): Link {
  return {
    index: 2,
    name: "eth0",
    kind: null,
    type: "ether",
    physical: true,
    mtu: 1500,
    minMtu: 68,
    maxMtu: 9000,
    flags: ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
    operstate: "UP",
    address: "02:00:00:00:00:02",
    master: null,
    peerIndex: null,
    peerName: null,
    peerNsid: null,
    peerNetns: null,
    qdisc: "fq_codel",
    txQueueLength: 1000,
    promiscuity: 0,
    xdp: [],
    stats: {},
    info: {},
    ...fields,
  };
}

/** A route of the main table, with what is given instead. */
export function makeRoute(destination: string, fields: Partial<Route> = {}): Route {
  return {
    family: destination.includes(":") ? "ipv6" : "ipv4",
    type: "unicast",
    destination,
    gateway: null,
    dev: "eth0",
    table: "main",
    protocol: "static",
    scope: null,
    source: null,
    metric: null,
    flags: [],
    mtu: null,
    nextHops: [],
    ...fields,
  };
}

/** A policy rule that looks a table up, with what is given instead. */
export function makePolicyRule(
  priority: number,
  table: string | null,
  fields: Partial<PolicyRule> = {},
): PolicyRule {
  return {
    family: "ipv4",
    priority,
    source: "all",
    destination: "all",
    iif: null,
    oif: null,
    fwmark: null,
    table,
    action: "lookup",
    other: {},
    ...fields,
  };
}

/** A queue at the root of eth0, with what is given instead. */
export function makeQdisc(kind: string, fields: Partial<Qdisc> = {}): Qdisc {
  return {
    dev: "eth0",
    kind,
    handle: "8001:",
    parent: "root",
    options: {},
    bytes: 0,
    packets: 0,
    drops: 0,
    overlimits: 0,
    requeues: 0,
    backlog: 0,
    length: 0,
    extra: {},
    ...fields,
  };
}

/** That it dropped `lost` of all it was given. */
export function makeQueue(
  qdisc: Qdisc,
  lost: number,
  sent: number,
  extra: Readonly<Record<string, number>> = {},
): QdiscDelta {
  const still = changeOf(0, 0);
  return {
    netns: { inode: NETNS, name: "web" },
    qdisc,
    earlier: null,
    packets: changeOf(0, sent),
    drops: changeOf(0, lost),
    overlimits: still,
    requeues: still,
    extra: Object.fromEntries(Object.entries(extra).map(([name, delta]) => [name, changeOf(0, delta)])),
  };
}

export function makeCpu(cpu: number, dropped: number, flowLimit = 0): SoftnetDelta {
  return {
    cpu,
    processed: changeOf(0, 100_000),
    dropped: changeOf(0, dropped),
    timeSqueeze: changeOf(0, 0),
    flowLimit: changeOf(0, flowLimit),
  };
}
