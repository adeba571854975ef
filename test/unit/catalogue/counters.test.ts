import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";

import sentenceData from "../../../fixtures/hosts/netstat-s-sentences.json" with { type: "json" };
import reasonData from "../../../probes/drops/reasons.json" with { type: "json" };
import { counters, describeCounter, explainIgnoredCounter } from "../../../src/catalogue/load.ts";
import type { CounterEntry } from "../../../src/catalogue/types.ts";
import { findCommandFaults, HOSTS, KERNELS, needsNoFlow, readHostFile } from "./commands.ts";

/** Counter → the line of `netstat -s` (net-tools 2.10), recorded with a distinct value in every counter. */
const SENTENCES = new Map<string, string>(Object.entries(sentenceData));
const PLACEHOLDERS = ["ns", "dev", "port", "source", "destination"];

/** nstat names of /proc/net/{snmp,netstat}: lines come in pairs, `Tcp: InSegs …` and `Tcp: 12 …`. */
function readPairedNames(text: string): string[] {
  return text
    .split("\n")
    .filter((_line, index) => index % 2 === 0)
    .flatMap((line) => {
      const [table = "", ...names] = line.trim().split(/\s+/u);
      return names.map((name) => table.replace(":", "") + name);
    });
}

/** Names of files with one `Name value` pair a line. */
function readListedNames(text: string): string[] {
  return text.split("\n").flatMap((line) => line.split(/\s+/u, 1).filter((name) => name !== ""));
}

/** Column names of /proc/net/stat files, with the name this project gives the file. */
function readColumnNames(text: string, prefix: string): string[] {
  const header = text.split("\n", 1)[0] ?? "";
  return header
    .trim()
    .split(/\s+/u)
    .map((name) => `${prefix}.${name}`);
}

/** Every counter name of a recorded host. */
function readCounterNames(kernel: string): string[] {
  const read = (name: string, parse: (text: string) => string[]): string[] => {
    const path = `${kernel}/proc-net-${name}.txt`;
    return existsSync(new URL(path, HOSTS)) ? parse(readHostFile(path)) : [];
  };
  return [
    ...read("snmp", readPairedNames),
    ...read("netstat", readPairedNames),
    ...["snmp6", "xfrm_stat", "tls_stat", "sctp-snmp"].flatMap((name) => read(name, readListedNames)),
    ...read("stat-nf_conntrack", (text) => readColumnNames(text, "conntrack")),
    ...["arp_cache", "ndisc_cache", "synproxy"].flatMap((name) =>
      read(`stat-${name}`, (text) => readColumnNames(text, name)),
    ),
  ];
}

describe("counters.json", () => {
  test.each(KERNELS)(
    "every counter of the recorded Linux %s is catalogued or left out with a reason",
    (kernel) => {
      const names = readCounterNames(kernel);
      expect(names.length).toBeGreaterThan(300);
      const unknown = names.filter(
        (name) => describeCounter(name) === null && explainIgnoredCounter(name) === null,
      );
      expect(unknown).toEqual([]);
      const both = names.filter(
        (name) => describeCounter(name) !== null && explainIgnoredCounter(name) !== null,
      );
      expect(both).toEqual([]);
    },
  );

  test.each<[string, Partial<CounterEntry>]>([
    ["TcpAttemptFails", { netstat: "N failed connection attempts" }],
    ["TcpRetransSegs", { kind: "retransmission", netstat: "N segments retransmitted" }],
    ["TcpExtEmbryonicRsts", { kind: "reset", netstat: "N resets received for embryonic SYN_RECV sockets" }],
    ["TcpExtTCPTimeouts", { kind: "timeout", netstatOlder: "N other TCP timeouts" }],
    ["TcpExtTCPSynRetrans", { kind: "retransmission", netstat: "TCPSynRetrans: N" }],
    ["TcpExtListenOverflows", { severity: "problem" }],
    ["TcpExtListenDrops", { severity: "problem" }],
    ["TcpExtTCPReqQFullDrop", { severity: "problem", explainedBy: [] }],
    ["softnet.dropped", { severity: "problem", explainedBy: ["CPU_BACKLOG"] }],
    ["link.rx_missed_errors", { severity: "problem", explainedBy: [] }],
    ["conntrack.drop", { severity: "problem" }],
    ["UdpRcvbufErrors", { severity: "problem", explainedBy: ["SOCKET_RCVBUFF"] }],
  ])("%s", (name, expected) => {
    expect(describeCounter(name)).toMatchObject(expected);
  });

  test.each(Object.entries(counters()))("%s is complete", (name, entry) => {
    expect(name).toMatch(/^(?:[A-Z][A-Za-z0-9]+|[a-z_]+\.[a-z_]+)$/u);
    expect(entry.meaning).toMatch(/^[A-Z].{10,218}[.]$/u);
    expect(entry.check).not.toEqual([]);
    expect(entry.check.some(needsNoFlow)).toBe(true);
    expect(findCommandFaults(entry.check, { placeholders: PLACEHOLDERS, readOnly: true })).toEqual([]);
    expect(entry.fix).not.toEqual([]);
    expect(findCommandFaults(entry.fix, { placeholders: PLACEHOLDERS, readOnly: false })).toEqual([]);
    expect(entry.explainedBy.filter((reason) => !Object.hasOwn(reasonData, reason))).toEqual([]);
    expect(new Set(entry.explainedBy).size).toBe(entry.explainedBy.length);
    expect(entry.netstat ?? entry.source).toMatch(/\S/u);
  });

  test("the sentences are those that netstat -s prints", () => {
    const wrong = Object.entries(counters())
      .filter(([name, entry]) => SENTENCES.has(name) && entry.netstat !== SENTENCES.get(name))
      .map(([name]) => name);
    expect(wrong).toEqual([]);
  });

  test("names that are no entries give null", () => {
    for (const name of ["constructor", "__proto__", "", "toString"]) {
      expect(describeCounter(name)).toBeNull();
      expect(explainIgnoredCounter(name)).toBeNull();
    }
  });
});
