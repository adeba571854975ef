/**
 * Shares counted packets out among those that can have dropped them: groups of drops on one side, counters on the other,
 * and which fit together. Finds the most that can be explained (augmenting paths); pairs that were allowed first are used first.
 */
export interface Assignment {
  allow(group: number, counter: number): void;
  /** Explains as much as the allowed pairs can. */
  solve(): void;
  /** Of a group, explained by a counter. */
  assigned(group: number, counter: number): number;
  /** Of a group, not explained. */
  open(group: number): number;
  /** Of a counter, not used. */
  unused(counter: number): number;
}

export function createAssignment(groups: readonly number[], counters: readonly number[]): Assignment {
  const open = [...groups];
  const unused = [...counters];
  const pairs = groups.map(() => new Map<number, number>());

  /** Shortest way from the group to a counter with something left: forward over allowed pairs, back over used ones. */
  function findPath(start: number): number[] | null {
    const cameFrom = new Map<number, { readonly group: number; readonly before: number | null }>();
    const queue: { readonly group: number; readonly via: number | null }[] = [{ group: start, via: null }];
    for (const { group, via } of queue) {
      for (const counter of pairs[group]?.keys() ?? []) {
        if (cameFrom.has(counter)) continue;
        cameFrom.set(counter, { group, before: via });
        if ((unused[counter] ?? 0) > 0) return trace(counter);
        for (const [other, used] of pairs.entries()) {
          if (other !== group && (used.get(counter) ?? 0) > 0) queue.push({ group: other, via: counter });
        }
      }
    }
    return null;

    function trace(end: number): number[] {
      const path: number[] = [];
      for (let counter: number | null = end; counter !== null;) {
        const step: { readonly group: number; readonly before: number | null } | undefined =
          cameFrom.get(counter);
        if (step === undefined) break;
        path.unshift(step.group, counter);
        counter = step.before;
      }
      return path;
    }
  }

  /** `path`: group, counter, group, counter …; each group gives what it has of the counter before it to the one behind it. */
  function push(path: readonly number[]): void {
    let amount = Math.min(open[path[0] ?? 0] ?? 0, unused[path.at(-1) ?? 0] ?? 0);
    for (let at = 2; at < path.length; at += 2) {
      amount = Math.min(amount, pairs[path[at] ?? 0]?.get(path[at - 1] ?? 0) ?? 0);
    }
    for (let at = 0; at < path.length; at += 2) {
      const used = pairs[path[at] ?? 0];
      const next = path[at + 1] ?? 0;
      const before = path[at - 1];
      used?.set(next, (used.get(next) ?? 0) + amount);
      if (before !== undefined) used?.set(before, (used.get(before) ?? 0) - amount);
    }
    open[path[0] ?? 0] = (open[path[0] ?? 0] ?? 0) - amount;
    unused[path.at(-1) ?? 0] = (unused[path.at(-1) ?? 0] ?? 0) - amount;
  }

  return {
    allow(group, counter) {
      const used = pairs[group];
      if (used !== undefined && !used.has(counter)) used.set(counter, 0);
    },
    solve() {
      for (const group of groups.keys()) {
        while ((open[group] ?? 0) > 0) {
          const path = findPath(group);
          if (path === null) break;
          push(path);
        }
      }
    },
    assigned: (group, counter) => pairs[group]?.get(counter) ?? 0,
    open: (group) => open[group] ?? 0,
    unused: (counter) => unused[counter] ?? 0,
  };
}
