import { readFileSync } from "node:fs";
import { isRawNet, parseNet, type RawNet } from "../../../src/evidence/net/snapshot.ts";
import type { NetSnapshot } from "../../../src/evidence/net/types.ts";

/** A recording of fixtures/evidence: a list of namespaces, or one. */
export function readRaw(path: string): RawNet[] {
  const url = new URL(`../../../fixtures/evidence/${path}`, import.meta.url);
  const value: unknown = JSON.parse(readFileSync(url, "utf8"));
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.map((item) => {
    if (!isRawNet(item)) throw new Error(`${path} is no recording of a namespace`);
    return item;
  });
}

/** The namespace of that name in a recording, parsed. */
export function readSnapshot(path: string, name: string): NetSnapshot {
  const raw = readRaw(path).find((item) => item.target.name === name);
  if (raw === undefined) throw new Error(`no namespace ${name} in ${path}`);
  return parseNet(raw);
}

/** The text of one section of a recording. */
export function readSection(path: string, name: string, section: string): string {
  const raw = readRaw(path).find((item) => item.target.name === name);
  const text = raw?.sections[section]?.text;
  if (text === undefined) throw new Error(`no ${section} of ${name} in ${path}`);
  return text;
}

/** Recordings made on Linux 6.18 with iproute2 6.1, nft 1.0.6 and iptables 1.8.9, before and after traffic. */
export const BEFORE = "faults-6.18/before.json";
export const AFTER = "faults-6.18/after.json";
/** Debian 13: Linux 6.12 with iproute2 6.15, nft 1.1.3 and iptables 1.8.11; namespace "a". */
export const DEBIAN13 = "debian13-6.12/snapshot.json";
