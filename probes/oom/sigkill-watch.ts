import type { TaskFacts } from "./combine.ts";
import type { SampleBook } from "./samples.ts";
import { isGuard, type Sigkill } from "./sigkills.ts";

/** SIGKILLs that wait for what /proc says of their target. `at`: seconds since the session's start. */
export interface SigkillWatch {
  /** The target's name as the kernel told it, just before `sent`. */
  name(pid: number, comm: string): void;
  /** False where it was told already: a guard may signal every thread, and again. */
  sent(sender: Sigkill["sender"], pid: number, at: number): boolean;
  /** What is known of a task now; gives the kill that waited for it. */
  task(pid: number, facts: TaskFacts | null): { readonly kill: Sigkill; readonly at: number } | null;
  /** Those that no answer came for. */
  end(): { readonly kill: Sigkill; readonly at: number }[];
}

/** A pid that was signalled this short a time before (seconds) is the same process. */
const SAME = 5;
const MAX_SENT = 10_000;

export function createSigkillWatch(samples: Pick<SampleBook, "last">): SigkillWatch {
  const waiting = new Map<
    number,
    { readonly sender: Sigkill["sender"]; readonly at: number; readonly comm: string | null }
  >();
  const sent = new Map<number, number>();
  let named: { readonly pid: number; readonly comm: string } | null = null;

  function conclude(pid: number, facts: TaskFacts | null): { kill: Sigkill; at: number } | null {
    const one = waiting.get(pid);
    if (one === undefined) return null;
    waiting.delete(pid);
    const { sender, at } = one;
    const seen = samples.last(pid);
    const comm = one.comm ?? facts?.comm ?? seen?.comm ?? null;
    // A process that is gone was moved to the root.
    const cgroup = facts?.cgroup === "/" ? null : (facts?.cgroup ?? null);
    const rssBytes = seen?.comm === comm ? seen.rssBytes : null;
    const target = { pid, comm, uid: facts?.uid ?? null, cgroup, rssBytes };
    return { kill: { sender, target, guard: isGuard(sender.comm) }, at };
  }

  return {
    name(pid, comm) {
      named = { pid, comm };
    },
    sent(sender, pid, at) {
      if (at - (sent.get(pid) ?? Number.NEGATIVE_INFINITY) < SAME) return false;
      sent.delete(pid);
      sent.set(pid, at);
      const oldest = sent.keys().next();
      if (sent.size > MAX_SENT && oldest.done !== true) sent.delete(oldest.value);
      // An empty name was not delivered.
      const comm = named?.pid === pid && named.comm !== "" ? named.comm : null;
      waiting.set(pid, { sender, at, comm });
      return true;
    },
    task: conclude,
    end: () => [...waiting.keys()].flatMap((pid) => conclude(pid, null) ?? []),
  };
}
