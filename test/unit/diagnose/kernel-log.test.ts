import { describe, expect, test } from "vitest";
import { findLogged } from "../../../src/diagnose/kernel-log-finding.ts";
import { tellLog } from "../../../src/diagnose/kernel-log.ts";
import { createNetworkLog } from "../../../src/evidence/kernel-log/network.ts";
import { makeFacts } from "./support.ts";

// Recorded on 6.18, as /dev/kmsg gives them.
const FULL =
  "4,1045,19669320274,-;nf_conntrack: nf_conntrack: table full in netns 4026532315, dropping packet\n";
const MARTIAN = "4,1046,21135977586,-;IPv4: martian source 10.97.1.1 from 10.60.0.9, on dev s0\n";
const FORGED = "12,1047,21135977590,-;nf_conntrack: table full, dropping packet\n";

describe("reading", () => {
  test("keeps what the kernel says of lost packets, and when it said it before", () => {
    const log = createNetworkLog();
    log.read("past", [FULL, "6,1,5,-;usb 1-1: new device\n", 7]);
    log.read("lines", [MARTIAN, FORGED, "garbage"]);
    log.read("lines", "no list");
    expect(log.earlier).toEqual([
      "[19669.320274] nf_conntrack: nf_conntrack: table full in netns 4026532315, dropping packet",
    ]);
    // A program wrote the forged one (its facility is not the kernel's).
    expect(log.lines).toEqual(["IPv4: martian source 10.97.1.1 from 10.60.0.9, on dev s0"]);
  });
});

describe("evidence", () => {
  const kernelLog = [
    "nf_conntrack: table full in netns 7, dropping packet",
    "nf_conntrack: table full in netns 7",
  ];
  test("is of this namespace, and of before only where the run has none", () => {
    expect(tellLog(makeFacts({ kernelLog }), /table full/, 7)).toBe(`kernel log: ${kernelLog[0]} (2 lines)`);
    expect(tellLog(makeFacts({ kernelLog }), /table full/, 8)).toBeNull();
    const earlierLog = ["[1.000000] nf_conntrack: table full, dropping packet"];
    expect(tellLog(makeFacts({ kernelLog, earlierLog }), /table full/, 8)).toBe(
      `kernel log, before the run: ${earlierLog[0]}`,
    );
  });
});

describe("what only the log tells", () => {
  const facts = makeFacts({ kernelLog: ["TCP: out of memory -- consider tuning tcp_mem"] });
  test("is a finding, unless one has it as evidence or only some packets were asked for", () => {
    const [found] = findLogged(facts, []);
    expect(found).toMatchObject({ id: "kernel-log", severity: "problem", count: 1, netns: null });
    if (found === undefined) throw new Error("no finding");
    const told = { ...found, evidence: [`kernel log: ${facts.kernelLog[0]}`] };
    expect(findLogged(facts, [told])).toEqual([]);
    expect(findLogged({ ...facts, isFiltered: true }, [])).toEqual([]);
  });
  test("links that come and go are none", () => {
    const coming = ["br0: port 1(veth0) entered disabled state", "IPv6: eth0: link is not ready"];
    expect(findLogged(makeFacts({ kernelLog: coming }), [])).toEqual([]);
  });
});
