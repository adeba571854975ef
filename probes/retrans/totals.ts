import type { RetransTotals } from "./counters.ts";
import type { Kind } from "./flow.ts";
import type { ResetRow, RetransmitRow } from "./rows.ts";

export interface Totals extends Readonly<Omit<RetransTotals, "byKind">> {
  readonly byKind: Readonly<Record<Kind, number>>;
  /** Segments, and resets, of connections that found no place in the kernel's table: in the totals, in no row. */
  readonly unattributed: number;
  readonly unattributedResets: number;
  /** Segments and resets of connections whose process is not known, when only some processes were asked for: not in the totals. */
  readonly ofUnknown: number;
}

/**
 * Everything together. `exact`: what the kernel counted beside its tables of flows. `unknown`: what belongs to
 * unknown processes; null when no process was asked for. When one was, the rows are the totals: the kernel cannot count by process.
 */
export function takeTotals(
  exact: RetransTotals,
  rows: readonly RetransmitRow[],
  resets: readonly ResetRow[],
  unknown: number | null,
): Totals {
  const byKind: Record<Kind, number> = { rto: 0, fast: 0, tlp: 0, syn: 0, synack: 0, other: 0 };
  let events = 0;
  for (const row of rows) {
    byKind[row.kind] += row.segments;
    events += row.count;
  }
  const count = (direction: ResetRow["direction"]) =>
    resets.reduce((sum, row) => sum + (row.direction === direction ? row.count : 0), 0);
  const [sent, received] = [count("sent"), count("received")];
  if (unknown !== null) {
    const segments = add(byKind);
    return {
      events,
      segments,
      byKind,
      sent,
      received,
      unattributed: 0,
      unattributedResets: 0,
      ofUnknown: unknown,
    };
  }
  // The tables are printed a moment after the totals: while it runs, a row can be ahead.
  const attributed = add(byKind);
  for (const kind of Object.keys(byKind) as Kind[]) byKind[kind] = Math.max(byKind[kind], exact.byKind[kind]);
  const all = { sent: Math.max(sent, exact.sent), received: Math.max(received, exact.received) };
  return {
    events: Math.max(events, exact.events),
    segments: add(byKind),
    byKind,
    ...all,
    unattributed: add(byKind) - attributed,
    unattributedResets: all.sent + all.received - sent - received,
    ofUnknown: 0,
  };
}

function add(byKind: Readonly<Record<Kind, number>>): number {
  return Object.values(byKind).reduce((sum, segments) => sum + segments, 0);
}
