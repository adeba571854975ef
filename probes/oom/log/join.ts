import type { Moment } from "./draft.ts";
import { classify, type OomLine } from "./lines.ts";

/** A record as the parser gets it, put together from the lines it was printed in. */
export interface Joined {
  text: string;
  line: OomLine;
  at: Moment;
  seconds: number | null;
}

/**
 * Joins records that reached the log as several: a console prints a comm with a newline as two lines with one
 * timestamp, and up to 4.19 a `pr_cont` broken by another CPU continues in a line of its own.
 */
export interface Joiner {
  /** The records that are whole now: usually the one given. */
  push(text: string, at: Moment, seconds: number | null): Joined[];
  end(): Joined[];
  readonly waiting: boolean;
}

const MAX_COMM = 16;
/** Beginnings of a `pr_cont` sequence and what continues it. */
const PART = /^(?:oom-kill:|Task in |Memory cgroup stats for $)/;
const PARTS: readonly { start: RegExp; next: RegExp }[] = [
  { start: /^oom-kill:constraint=\w+,nodemask=[^,]*$/, next: /^,cpuset=/ },
  { start: /^oom-kill:constraint=.*,mems_allowed=[\d,-]*$/, next: /^,(?:oom_memcg=|global_oom|task_memcg=)/ },
  { start: /^oom-kill:constraint=.*,(?:oom_memcg=.*|global_oom)$/, next: /^,task_memcg=/ },
  { start: /^Task in $/, next: /^\// },
  { start: /^Task in \/\S*$/, next: /^ killed as a result of limit of / },
  { start: /^Task in .* killed as a result of limit of $/, next: /^\// },
  { start: /^Memory cgroup stats for $/, next: /^\// },
];

/** Whether a line can lack its end because a newline in a comm cut it in two. */
function isOpen(line: OomLine): boolean {
  return (
    (line.kind === "kill" && line.pid !== null && !line.complete) ||
    (line.kind === "cpu" && !line.complete) ||
    (line.kind === "chosen" && !line.complete)
  );
}

/** Whether the two, with a newline between, are one whole record. The second must mean nothing by itself. */
function completes(first: OomLine, text: string, next: string): boolean {
  if (classify(next).kind !== "other") return false;
  const whole = classify(`${text}\n${next}`);
  if (whole.kind !== first.kind || isOpen(whole)) return false;
  const comm =
    whole.kind === "kill"
      ? /^\d+ \(([\s\S]*)\) total-vm:/.exec(whole.text)?.[1]
      : whole.kind === "cpu"
        ? whole.comm
        : /,task=([\s\S]*),pid=\d+,uid=-?\d+$/.exec(whole.kind === "chosen" ? whole.text : "")?.[1];
  return comm !== undefined && comm.includes("\n") && comm.length <= MAX_COMM;
}

export function createJoiner(): Joiner {
  let held: { joined: Joined; next: RegExp | null } | null = null;

  const hold = (text: string, at: Moment, seconds: number | null): Joined[] => {
    const line = classify(text);
    const joined: Joined = { text, line, at, seconds };
    const part = PART.test(text) ? PARTS.find((candidate) => candidate.start.test(text)) : undefined;
    if (part === undefined && !isOpen(line)) return [joined];
    held = { joined, next: part?.next ?? null };
    return [];
  };
  return {
    get waiting() {
      return held !== null;
    },
    push(text, at, seconds) {
      if (held === null) return hold(text, at, seconds);
      const { joined: before, next } = held;
      held = null;
      if (next?.test(text) === true) return hold(before.text + text, before.at, before.seconds);
      // Both halves of a split record carry one timestamp.
      if (before.seconds === seconds && isOpen(before.line) && completes(before.line, before.text, text)) {
        return hold(`${before.text}\n${text}`, before.at, before.seconds);
      }
      return [before, ...hold(text, at, seconds)];
    },
    end() {
      const rest = held;
      held = null;
      return rest === null ? [] : [rest.joined];
    },
  };
}
