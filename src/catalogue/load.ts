/**
 * Typed access to the catalogues of counters, kernel threads, work queues and softirq vectors.
 * The data is in the JSON files beside this one; the tests check what the types cannot.
 */
import counterData from "./counters.json" with { type: "json" };
import threadData from "./kernel-threads.json" with { type: "json" };
import resetData from "./reset-reasons.json" with { type: "json" };
import type {
  CounterEntry,
  IgnoredCounters,
  KernelThreadCatalogue,
  KernelThreadDescription,
  KernelThreadEntry,
  ResetReasonEntry,
  SoftirqEntry,
  WorkqueueEntry,
} from "./types.ts";
import { typeCounters } from "./typed.ts";

const COUNTERS = typeCounters(counterData.counters);
const IGNORED: readonly IgnoredCounters[] = counterData.ignored;
const THREADS: KernelThreadCatalogue = threadData;
const RESETS: Readonly<Record<string, ResetReasonEntry>> = resetData;

/** Names longer than this were cut off by kernels before 5.17 (TASK_COMM_LEN - 1). */
const OLD_COMM_LENGTH = 15;

/** No kernel thread has a longer name (WQ_NAME_LEN and the worker's own prefix); longer ones are not looked at. */
const LONGEST_NAME = 128;

const compiledThreads = THREADS.threads.map((entry) => ({
  expression: new RegExp(entry.pattern, "u"),
  entry,
}));
const compiledQueues = Object.entries(THREADS.workqueues)
  .map(([key, entry]) => ({ key, expression: wildcard(key), entry }))
  .toSorted((a, b) => b.key.length - a.key.length);
const compiledIgnored = IGNORED.flatMap(({ pattern, reason }) =>
  pattern === undefined ? [] : [{ expression: new RegExp(pattern, "u"), reason }],
);
const ignoredNames = new Map(
  IGNORED.flatMap(({ names, reason }) => (names ?? []).map((name) => [name, reason] as const)),
);

/** Every counter that can point at loss, by its `nstat` name or its own (`softnet.dropped`). */
export function counters(): Readonly<Record<string, CounterEntry>> {
  return COUNTERS;
}

/** The entry of one counter, or null: also for names such as `constructor` that are no entries. */
export function describeCounter(name: string): CounterEntry | null {
  return ownValue(COUNTERS, name);
}

/** Every reason the kernel gives for a reset that it sends (`enum sk_rst_reason`, Linux 6.10 and later), without its prefix. */
export function resetReasons(): Readonly<Record<string, ResetReasonEntry>> {
  return RESETS;
}

/** The entry of one reason, or null. */
export function describeResetReason(name: string): ResetReasonEntry | null {
  return ownValue(RESETS, name);
}

/** Why a counter is left out on purpose (it does not speak of loss), or null where it is not left out. */
export function explainIgnoredCounter(name: string): string | null {
  return (
    ignoredNames.get(name) ?? compiledIgnored.find(({ expression }) => expression.test(name))?.reason ?? null
  );
}

/**
 * What the kernel thread with this name does, or null where the catalogue does not know it.
 *
 * The most specific pattern wins, by its place: the first match in the file counts, so a special case stands above
 * the general one (a test checks that no entry is shadowed). A worker's queue is taken from its name
 * (`kworker/u8:2-writeback`); a bare queue name is the stand-by thread of that queue, which older kernels (6.1 and before) show
 * without the prefix `kworker/R-`, and cut off after 15 characters.
 */
export function describeKernelThread(comm: string): KernelThreadDescription | null {
  if (comm.length > LONGEST_NAME) return null;
  for (const { expression, entry } of compiledThreads) {
    const match = expression.exec(comm);
    if (match !== null) return describeMatch(entry, match);
  }
  const queue = describeWorkqueue(comm);
  if (queue === null) return null;
  return {
    name: "work queue stand-by thread",
    role: `Stand-by thread of the queue ${comm}: ${queue.role}`,
    busyMeans:
      "The machine is short of memory and falls back to stand-by threads, or this queue has much to do.",
    check: queue.check ?? ["vmstat 1 5"],
    subsystem: "workqueue",
    captures: { workqueue: comm },
  };
}

/** What the work queue with this name does, or null. An exact name wins over a wildcard, a longer one over a shorter. */
export function describeWorkqueue(name: string): WorkqueueEntry | null {
  const exact = ownValue(THREADS.workqueues, name);
  if (exact !== null) return exact;
  if (name.length > LONGEST_NAME) return null;
  const found = compiledQueues.find(({ expression }) => expression.test(name));
  if (found !== undefined) return found.entry;
  if (name.length !== OLD_COMM_LENGTH) return null;
  return compiledQueues.find(({ key }) => key.startsWith(name))?.entry ?? null;
}

/** Softirq vectors by their names in /proc/softirqs, in the kernel's order. */
export function softirqs(): Readonly<Record<string, SoftirqEntry>> {
  return THREADS.softirqs;
}

/** What a softirq vector does, by its name in /proc/softirqs (`NET_RX`), or null. */
export function explainSoftirq(vector: string): SoftirqEntry | null {
  return ownValue(THREADS.softirqs, vector);
}

function describeMatch(entry: KernelThreadEntry, match: RegExpExecArray): KernelThreadDescription {
  const captures: Record<string, string> = {};
  for (const [index, name] of (entry.captures ?? []).entries()) {
    const value = match[index + 1];
    if (value !== undefined && value !== "") captures[name] = value;
  }
  const queue = captures["workqueue"] === undefined ? null : describeWorkqueue(captures["workqueue"]);
  const own = entry.standby === true ? null : queue;
  return {
    name: entry.name,
    role: queue === null ? entry.role : `${entry.role} Queue ${captures["workqueue"]}: ${queue.role}`,
    busyMeans: own?.busyMeans ?? entry.busyMeans,
    check: fillCaptures(own?.check ?? entry.check, captures),
    subsystem: entry.subsystem,
    captures,
  };
}

/**
 * Fills captures into commands. Only plain words are filled in, because the result is pasted into a root shell
 * and a thread's name is not to be trusted.
 */
function fillCaptures(commands: readonly string[], captures: Readonly<Record<string, string>>): string[] {
  return commands.map((command) =>
    command.replaceAll(/\{(\w+)\}/gu, (placeholder, name: string) => {
      const value = ownValue(captures, name);
      return value !== null && /^[\w.:-]+$/u.test(value) ? value : placeholder;
    }),
  );
}

function wildcard(key: string): RegExp {
  const escaped = key.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\/]/gu, String.raw`\$&`));
  return new RegExp(`^${escaped.join(".*")}$`, "u");
}

function ownValue<Value>(record: Readonly<Record<string, Value>>, key: string): Value | null {
  return Object.hasOwn(record, key) ? (record[key] ?? null) : null;
}

/** Every kind of kernel thread the catalogue knows. */
export function kernelThreads(): readonly KernelThreadEntry[] {
  return THREADS.threads;
}
