import { expect, test } from "vitest";
import type { Finding, Severity } from "../../../src/diagnose/finding.ts";
import { compareHarm } from "../../../src/diagnose/order.ts";

const finding = (id: string, severity: Severity, count: number): Finding => ({
  id,
  severity,
  summary: `${id} ${count}`,
  count,
  netns: null,
  evidence: [],
  check: [],
  fix: [],
});

test("what is proven, then what takes packets from somebody who waits for them, then how many", () => {
  const sorted = [
    finding("qdisc-congested", "info", 9000),
    finding("port-scan", "suspicious", 8000),
    finding("closed-port", "problem", 7000),
    finding("silent-counter", "problem", 6000),
    finding("tcp-retransmissions", "suspicious", 5000),
    finding("closed-port-stale", "problem", 10),
    finding("netfilter-rule", "problem", 42),
    finding("tcp-receive-buffer", "suspicious", 3),
    finding("udp-receive-buffer", "problem", 43),
  ].toSorted(compareHarm);
  expect(sorted.map(({ id, severity }) => `${severity} ${id}`)).toEqual([
    "problem udp-receive-buffer",
    "problem netfilter-rule",
    "problem closed-port",
    "problem closed-port-stale",
    "problem silent-counter",
    "suspicious tcp-receive-buffer",
    "suspicious port-scan",
    "suspicious tcp-retransmissions",
    "info qdisc-congested",
  ]);
});
