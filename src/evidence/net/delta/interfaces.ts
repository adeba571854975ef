import type { DeviceCounters, InterfaceDelta, Link, NetSnapshot } from "../types.ts";
import { endsOf, type Ends } from "./context.ts";
import { changeIn, movedIn, pairByKey } from "./match.ts";

/** Statistics that are in the columns of the row itself, or are no losses. */
const IN_COLUMNS = /^[rt]x\.(bytes|packets|errors|dropped|multicast)$/;

/** A row for every device that exists at the end: the `netstat -i` table, with what `ip` and `ethtool` add to it. */
export function deltaInterfaces(ends: Ends): InterfaceDelta[] {
  const { before, after, fresh } = endsOf(ends, (snapshot) => snapshot.counters.devices);
  const { pairs } = pairByKey(before, after, (device) => device.name);
  return pairs.map((pair): InterfaceDelta => {
    const name = pair.after.name;
    const link = findLink(ends.after, name);
    const oldLink = findLink(ends.before, name);
    // A device of the same name with another index is another device: it counts from 0.
    const replaced = link !== null && oldLink !== null && link.index !== oldLink.index;
    const same = replaced ? { before: null, after: pair.after } : pair;
    const change = (value: (device: DeviceCounters) => number) => changeIn(same, fresh, value);
    const oldStats = replaced ? null : (oldLink?.stats ?? null);
    const details = movedIn(oldStats, link?.stats ?? {}, replaced || pair.before === null);
    return {
      netns: ends.netns,
      name,
      mtu: link?.mtu ?? null,
      mtuBefore: replaced ? null : (oldLink?.mtu ?? null),
      rxOk: change((device) => device.rxPackets),
      rxErrors: change((device) => device.rxErrors),
      rxDropped: change((device) => device.rxDropped),
      rxOverruns: change((device) => device.rxFifo),
      txOk: change((device) => device.txPackets),
      txErrors: change((device) => device.txErrors),
      txDropped: change((device) => device.txDropped),
      txOverruns: change((device) => device.txFifo),
      rxBytes: change((device) => device.rxBytes),
      txBytes: change((device) => device.txBytes),
      details: Object.fromEntries(Object.entries(details).filter(([key]) => !IN_COLUMNS.test(key))),
      driver: movedIn(driverStats(ends.before, name), driverStats(ends.after, name) ?? {}, false),
    };
  });
}

function findLink(snapshot: NetSnapshot | null, name: string): Link | null {
  return snapshot?.configuration?.links?.find((link) => link.name === name) ?? null;
}

function driverStats(snapshot: NetSnapshot | null, name: string): { readonly [name: string]: number } | null {
  return snapshot?.configuration?.driverStats?.find((item) => item.dev === name)?.stats ?? null;
}
