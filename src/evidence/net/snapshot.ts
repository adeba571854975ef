import { collectNet, type NetOptions } from "./collect/collect.ts";
import type { RawNet } from "./collect/raw.ts";
import { parseConfiguration } from "./parse-configuration.ts";
import { parseCounters } from "./parse-counters.ts";
import { makeSectionReader } from "./section-reader.ts";
import type { NetSnapshot, NetTarget } from "./types.ts";

export { collectNet, leaveOut, type NetOptions } from "./collect/collect.ts";
export { isRawNet, type RawNet } from "./collect/raw.ts";

/** What was read from a namespace, understood. Pure: the same recording gives the same snapshot on any machine. */
export function parseNet(raw: RawNet): NetSnapshot {
  // Nothing of it was read: one reason is enough.
  const reader = makeSectionReader(raw, Object.keys(raw.sections).length === 0);
  const counters = parseCounters(raw, reader);
  const configuration = parseConfiguration(raw, reader);
  return {
    netns: { inode: raw.target.inode, name: raw.target.name },
    path: raw.target.path,
    takenAt: raw.takenAt,
    seconds: raw.seconds,
    counters,
    configuration,
    missing: reader.missing,
    unread: reader.unread,
  };
}

/** All of one namespace. Read-only; never rejects: what cannot be had is null, and in `missing`. */
export async function takeNetSnapshot(target: NetTarget, options: NetOptions = {}): Promise<NetSnapshot> {
  const [snapshot] = await takeNetSnapshots([target], options);
  if (snapshot === undefined) throw new Error("one namespace was asked for and none came back");
  return snapshot;
}

/** Many namespaces, in their order. The counters of all are read first, within milliseconds of each other. */
export async function takeNetSnapshots(
  targets: readonly NetTarget[],
  options: NetOptions = {},
): Promise<NetSnapshot[]> {
  return (await collectNet(targets, options)).map(parseNet);
}

/** Only what is cheap: the counter files. */
export async function takeCounters(
  targets: readonly NetTarget[],
  options: NetOptions = {},
): Promise<NetSnapshot[]> {
  return takeNetSnapshots(targets, { ...options, configuration: false });
}
