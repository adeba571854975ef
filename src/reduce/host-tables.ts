import { describeCounter } from "../catalogue/load.ts";
import { hasMoved, type Change } from "../evidence/change.ts";
import type { InterfaceDelta, NetDelta } from "../evidence/net/types.ts";
import type { Block } from "../probe/report.ts";
import { formatCount } from "../text/format.ts";

const MAX_INTERFACES = 12;
const MAX_COUNTERS = 15;

/** The classic view: `netstat -i`, and the counters of `netstat -s` that point at loss and moved, in words. */
export function hostTables(networks: readonly NetDelta[]): Block[] {
  return [...interfaceTable(networks), ...counterTable(networks)];
}

function interfaceTable(networks: readonly NetDelta[]): Block[] {
  const isTold = (row: InterfaceDelta) =>
    [row.rxErrors, row.rxDropped, row.rxOverruns, row.txErrors, row.txDropped, row.txOverruns].some(hasMoved);
  const isUsed = (row: InterfaceDelta) => hasMoved(row.rxOk) || hasMoved(row.txOk);
  const rows = networks.flatMap((network) => network.interfaces).filter((row) => isUsed(row) || isTold(row));
  rows.sort(
    (a, b) =>
      Number(isTold(b)) - Number(isTold(a)) ||
      (b.rxOk.delta ?? 0) + (b.txOk.delta ?? 0) - (a.rxOk.delta ?? 0) - (a.txOk.delta ?? 0),
  );
  if (rows.length === 0) return [];
  const isMany =
    new Set(rows.map((row) => row.netns.inode)).size > 1 || rows.some((row) => row.netns.name !== "host");
  const right = (header: string) => ({ header, align: "right" as const });
  return [
    {
      kind: "table",
      title: "Interfaces during the run (netstat -i)",
      columns: [
        { header: "INTERFACE" },
        ...(isMany ? [{ header: "NETNS", shrink: 1 }] : []),
        ...["MTU", "RX-OK", "ERR", "DRP", "OVR", "TX-OK", "ERR", "DRP", "OVR"].map(right),
      ],
      rows: rows
        .slice(0, MAX_INTERFACES)
        .map((row) => [
          row.name,
          ...(isMany ? [row.netns.name ?? String(row.netns.inode)] : []),
          row.mtu === null ? "–" : formatCount(row.mtu),
          ...[
            row.rxOk,
            row.rxErrors,
            row.rxDropped,
            row.rxOverruns,
            row.txOk,
            row.txErrors,
            row.txDropped,
            row.txOverruns,
          ].map(show),
        ]),
      ...(rows.length > MAX_INTERFACES
        ? { more: `… and ${rows.length - MAX_INTERFACES} more with traffic` }
        : {}),
    },
  ];
}

function counterTable(networks: readonly NetDelta[]): Block[] {
  const rows = networks
    .flatMap((network) => network.counters)
    .flatMap((counter) => {
      const entry = describeCounter(counter.name);
      return entry === null || entry.severity === "info" || counter.delta <= 0 ? [] : [{ counter, entry }];
    });
  rows.sort((a, b) => b.counter.delta - a.counter.delta);
  if (rows.length === 0) return [];
  const isMany =
    new Set(rows.map(({ counter }) => counter.netns.inode)).size > 1 ||
    rows.some(({ counter }) => counter.netns.name !== "host");
  return [
    {
      kind: "table",
      title: "Counters that moved and point at loss (netstat -s)",
      columns: [
        { header: "BY", align: "right" },
        { header: "COUNTER" },
        ...(isMany ? [{ header: "NETNS", shrink: 1 }] : []),
        { header: "MEANING", overflow: true },
      ],
      rows: rows
        .slice(0, MAX_COUNTERS)
        .map(({ counter, entry }) => [
          `+${formatCount(counter.delta)}`,
          counter.name,
          ...(isMany ? [counter.netns.name ?? String(counter.netns.inode)] : []),
          entry.meaning,
        ]),
      ...(rows.length > MAX_COUNTERS
        ? { more: `… and ${rows.length - MAX_COUNTERS} more: --format json has them all` }
        : {}),
    },
  ];
}

const show = (change: Change): string => (change.delta === null ? "–" : formatCount(change.delta));
