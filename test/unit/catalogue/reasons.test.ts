import { describe, expect, test } from "vitest";

import callSiteData from "../../../probes/drops/call-sites.json" with { type: "json" };
import reasonData from "../../../probes/drops/reasons.json" with { type: "json" };
import { describeCounter } from "../../../src/catalogue/load.ts";
import { typeCallSites, typeReasons } from "../../../src/catalogue/typed.ts";
import { findCommandFaults, KERNELS, needsNoFlow, readHostFile, readHostLines } from "./commands.ts";

const REASONS = typeReasons(reasonData);
const CALL_SITES = typeCallSites(callSiteData);
const PLACEHOLDERS = ["ns", "dev", "port", "source", "destination"];
const LONGEST_MEANING = 220;

/** The names of the reasons in the `__print_symbolic` table of a kernel's skb:kfree_skb format file. */
function readReasonNames(kernel: string): string[] {
  const format = readHostFile(`${kernel}/skb-kfree_skb.format`);
  return [...format.matchAll(/\{\s*(?:0x[0-9a-f]+|\d+),\s*"([^"]+)"\s*\}/giu)].map((match) => match[1] ?? "");
}

function findTextFaults(texts: readonly string[]): string[] {
  return texts.filter((text) => text.trim() === "" || text !== text.trim() || /\p{Cc}/u.test(text));
}

describe("reasons.json", () => {
  test("the recordings are those of kernels with and without reasons", () => {
    expect(KERNELS.toSorted()).toEqual(["5.10", "6.1", "6.12", "6.18", "7.2"]);
    expect(readReasonNames("5.10")).toEqual([]);
    expect(readReasonNames("6.1")).toHaveLength(65);
    expect(readReasonNames("6.18")).toHaveLength(127);
  });

  test.each(KERNELS)("knows every reason of Linux %s", (kernel) => {
    const missing = readReasonNames(kernel).filter((name) => !Object.hasOwn(REASONS, name));
    expect(missing).toEqual([]);
  });

  test("knows the reasons of subsystems, which the format file does not list", () => {
    const missing = readHostLines("subsystem-drop-reasons.txt").filter(
      (name) => !Object.hasOwn(REASONS, name),
    );
    expect(missing).toEqual([]);
  });

  test("knows what is no drop", () => {
    expect(REASONS["SKB_NOT_DROPPED_YET"]?.class).toBe("benign");
    expect(REASONS["CONSUMED"]?.class).toBe("benign");
    expect(REASONS["NOT_SPECIFIED"]?.class).toBe("depends");
  });

  test.each(Object.entries(REASONS))("%s is complete", (name, entry) => {
    expect(name).toMatch(/^[A-Z][A-Z0-9_]*$/u);
    expect(entry.meaning.length).toBeLessThanOrEqual(LONGEST_MEANING);
    expect(entry.meaning).toMatch(/[.?]$/u);
    expect(findTextFaults([entry.meaning, ...entry.causes])).toEqual([]);
    expect(entry.causes).not.toEqual([]);
    expect(entry.check).not.toEqual([]);
    expect(entry.check.some(needsNoFlow)).toBe(true);
    expect(findCommandFaults(entry.check, { placeholders: PLACEHOLDERS, readOnly: true })).toEqual([]);
    expect(findCommandFaults(entry.fix, { placeholders: PLACEHOLDERS, readOnly: false })).toEqual([]);
    expect(entry.benignBecause === undefined).toBe(entry.class !== "benign");
    expect(findTextFaults(entry.benignBecause === undefined ? [] : [entry.benignBecause])).toEqual([]);
    expect(entry.class === "loss" && entry.fix.length === 0).toBe(false);
    for (const version of [entry.since, entry.until]) expect(version ?? "1.0").toMatch(/^\d+\.\d+$/u);
  });

  test("every counter a reason names is catalogued and names the reason", () => {
    const faults = Object.entries(REASONS).flatMap(([name, entry]) =>
      entry.counters
        .filter((counter) => !(describeCounter(counter)?.explainedBy.includes(name) ?? false))
        .map((counter) => `${name} → ${counter}`),
    );
    expect(faults).toEqual([]);
  });
});

describe("typeReasons", () => {
  test("a word that is none of the allowed is reported with its place", () => {
    const { NO_SOCKET } = reasonData;
    expect(() => typeReasons({ NO_SOCKET: { ...NO_SOCKET, class: "bening" } })).toThrow(
      'NO_SOCKET: "bening" is none of loss, depends, benign',
    );
  });
});

describe("call-sites.json", () => {
  const names = Object.entries(CALL_SITES).flatMap(([name, entry]) => [name, ...entry.alsoKnownAs]);

  test("covers the call sites that matter, each once", () => {
    expect(Object.keys(CALL_SITES).length).toBeGreaterThanOrEqual(90);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test.each([
    ["__dev_forward_skb2", "peer-mtu-too-small", "loss"],
    ["ip6_mc_input", "ipv6-multicast-not-joined", "benign"],
    ["nft_do_chain", "firewall-rule", "loss"],
    ["nf_hook_slow", "firewall-rule", "loss"],
    ["sk_stream_kill_queues", "socket-closed", "benign"],
    ["kfree_skb_list_reason", "qdisc-drop", "loss"],
    ["enqueue_to_backlog", "cpu-backlog-full", "loss"],
  ])("%s means %s", (site, means, cls) => {
    expect(CALL_SITES[site]).toMatchObject({ means, class: cls });
  });

  test("names of functions that moved between kernels stand in one entry", () => {
    expect(CALL_SITES["__udp4_lib_rcv"]?.alsoKnownAs).toContain("udp_rcv");
    expect(CALL_SITES["__dev_forward_skb2"]?.alsoKnownAs).toContain("____dev_forward_skb");
  });

  test.each(Object.entries(CALL_SITES))("%s is complete", (name, entry) => {
    for (const site of [name, ...entry.alsoKnownAs]) expect(site).toMatch(/^[a-z_][a-z0-9_]*$/u);
    expect(entry.means).toMatch(/^[a-z0-9]+(?:-[a-z0-9]+)*$/u);
    expect(entry.meaning.length).toBeLessThanOrEqual(LONGEST_MEANING);
    expect(findTextFaults([entry.meaning])).toEqual([]);
    expect(entry.check).not.toEqual([]);
    expect(entry.check.some(needsNoFlow)).toBe(true);
    expect(findCommandFaults(entry.check, { placeholders: PLACEHOLDERS, readOnly: true })).toEqual([]);
    expect(findCommandFaults(entry.fix, { placeholders: PLACEHOLDERS, readOnly: false })).toEqual([]);
    expect(entry.reasons.filter((reason) => !Object.hasOwn(REASONS, reason))).toEqual([]);
    expect(entry.benignBecause === undefined).toBe(entry.class !== "benign");
    expect(entry.class === "loss" && entry.fix.length === 0).toBe(false);
  });
});
