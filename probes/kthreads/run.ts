import type { KernelThreadEvidence } from "../../src/evidence/kthreads/types.ts";
import type { EndInfo, Fact, Json, ProbeResult, ProbeRun, RunContext } from "../../src/probe/define.ts";
import { readHz } from "../../src/probe/hz.ts";
import type { LiveView } from "../../src/probe/report.ts";
import { SampleBook } from "../../src/profile/samples/book.ts";
import { GrowingCount, SampleClock } from "../../src/profile/samples/clock.ts";
import { SampleLedger } from "../../src/profile/samples/ledger.ts";
import { SampleLog } from "../../src/profile/samples/log.ts";
import { parseStackSample } from "../../src/profile/samples/record.ts";
import { countFrames } from "../../src/profile/samples/top.ts";
import { plural } from "../../src/text/format.ts";
import type { Message } from "../../src/wire/message.ts";
import { ContextBook, countContexts, Drawing, parseContext, type Labels } from "./contexts.ts";
import { findAll } from "./findings/index.ts";
import { buildProfiles } from "./profiles.ts";
import { liveTable } from "./live.ts";
import { buildReport } from "./report.ts";
import { readEvidence, threadRecord, workRecord } from "./records.ts";
import { listThreads } from "./threads.ts";
import { TotalsReader } from "./totals.ts";
import { listWork } from "./work.ts";

/** Intervals the sparkline remembers. */
const MAX_SPARK = 120;
const MAX_TOP = 100;

/** The reading side of `trace kthreads`. */
export function runKthreads(context: RunContext): ProbeRun {
  const hz = readHz(context.options);
  const cpus = readCpus(context.session.tables["cpus"]);
  const ask = (fact: string, key: string) => context.ask({ fact, key });
  // Kernel threads have no user frames and are named by /proc: nothing is asked for but work functions.
  const book = new SampleBook(() => {});
  const contexts = new ContextBook();
  const log = new SampleLog();
  const clock = new SampleClock();
  const idle = new GrowingCount();
  const ledger = new SampleLedger();
  const totals = new TotalsReader();
  const functions = new Map<number, string>();
  const names = new Map<number, string>();
  const evidence: { before: KernelThreadEvidence | null; after: KernelThreadEvidence | null } = {
    before: null,
    after: null,
  };
  const spark: number[] = [];
  const sampled = new Map<number, { comm: string; samples: number }>();
  let fresh = 0;
  let total = 0;
  let idleReported = 0;
  let began: number | null = null;
  let ended: number | null = null;

  const vectors = (context.session.tables["vectors"] ?? {}) as Readonly<Record<string, Json>>;
  const labels: Labels = {
    vector: (vector) => {
      const name = vectors[String(vector)];
      return typeof name === "string" ? name : `softirq ${vector}`;
    },
    work: (work) => functions.get(work) ?? "[unknown function]",
  };

  function takeSample(text: string, at: number): void {
    const head = parseContext(text);
    const sample = head === null ? null : parseStackSample(text.slice(head.start));
    if (head === null || sample === null) return malformed();
    clock.see(sample.nsecs, at);
    ledger.receive(sample.cpu, sample.nsecs / 1e9);
    const { thread, stack } = book.add(sample, at);
    const { vector, work } = head;
    if (work !== null && !functions.has(work)) ask("ksym", String(work));
    log.add(sample.nsecs / 1e9, thread.index, contexts.intern({ stack, vector, work }));
    const entry = sampled.get(sample.tid) ?? { comm: sample.comm, samples: 0 };
    entry.samples += 1;
    sampled.set(sample.tid, entry);
    fresh += 1;
    total += 1;
  }

  function readText(text: string, at: number): void {
    switch (text[0] ?? "") {
      case "T":
        return takeSample(text, at);
      case "N": {
        const found = /^N\t(\d+)\tC([\s\S]*)$/.exec(text);
        if (found === null) return malformed();
        names.set(Number(found[1]), found[2] ?? "");
        return;
      }
      case "E":
      case "B":
        return;
      default:
        malformed();
    }
  }

  function readMap({ name, entries }: Extract<Message, { kind: "map" }>, at: number): void {
    const [first] = entries;
    if (name === "@idle" && typeof first?.value === "number") idle.see(at, first.value);
    if (name === "@taken")
      ledger.settle(new Map(entries.map(({ key, value }) => [Number(key), Number(value)] as const)));
    if (!totals.read(name, entries, at) || name !== "@work_n") return;
    for (const work of totals.functions()) if (!functions.has(Number(work))) ask("ksym", work);
  }

  function malformed(): void {
    context.notice("warning", "malformed", "lines of the program that could not be read");
  }

  /** Without kernel types the program cannot tell kernel threads: /proc does. */
  function knownThreads(): ReadonlySet<number> {
    const known = [...(evidence.before?.threads ?? []), ...(evidence.after?.threads ?? [])];
    return new Set(known.map(({ pid }) => pid));
  }

  return {
    message(message, at) {
      if (message.kind === "text") readText(message.text, at);
      else if (message.kind === "map") readMap(message, at);
    },
    fact({ fact, key, value }: Fact, at) {
      if (fact === "ksym" && typeof value === "string") functions.set(Number(key), value);
      if (fact !== "kthreads") return;
      const read = readEvidence(value);
      if (key === "before") {
        evidence.before = read;
        began = at;
        clock.begin(at);
      } else if (key === "after") {
        evidence.after = read;
      }
    },
    interval(seconds) {
      if (seconds > 0) {
        spark.push(fresh / seconds);
        if (spark.length > MAX_SPARK) spark.shift();
      }
      const fields = { samples: fresh, idle: idle.last - idleReported };
      idleReported = idle.last;
      fresh = 0;
      return fields;
    },
    live: (): LiveView => ({
      headline: `${plural(total, "sample")} of kernel threads`,
      spark,
      table: liveTable(sampled, evidence.before),
      lost: 0,
    }),
    finish(end: EndInfo): ProbeResult {
      ended = began === null ? null : began + end.seconds;
      if (ended !== null) clock.end(ended);
      const { from, to } = clock.window();
      const selection = log.select(from, to);
      const known = knownThreads();
      const isTold = context.session.tables["btf"] !== false;
      const isWanted = (pid: number) => isTold || known.has(pid);
      const counts = countContexts(book, contexts, selection, isWanted);
      const threads = listThreads({
        ...evidence,
        options: context.options,
        sampled: counts.threads.map(({ thread, samples }) => ({
          pid: thread.tid,
          comm: thread.comm,
          samples,
        })),
        hz,
        seconds: end.seconds,
      });
      const work = listWork({
        totals: totals.between(began, ended),
        counts,
        labels,
        names,
        threads,
        ...evidence,
      });
      if (totals.malformed > 0)
        context.notice("warning", "malformed", "entries of tables that could not be read", totals.malformed);
      const lost = ledger.lost(end.lost, to, 1 / hz);
      if (lost > end.lost)
        context.notice("warning", "lost-events", "samples that bpftrace did not hand over", lost - end.lost);
      const byPid = new Map(threads.map((thread) => [thread.pid, thread.name]));
      const nameOf = (tid: number, comm: string) => byPid.get(tid) ?? comm;
      const drawing = new Drawing(book, contexts, labels);
      const period = 1 / hz;
      const findings = findAll({ threads, work, cpus, hz, seconds: end.seconds });
      const stacks = counts.stacks.map(({ context: index, thread, count }) => ({
        frames: drawing.draw(index, nameOf(thread.tid, thread.comm)),
        count,
      }));
      const lostStacks = counts.stacks.reduce(
        (sum, { context: index, count }) =>
          sum + (book.stacks[contexts.list[index]?.stack ?? -1]?.isKernelLost === true ? count : 0),
        0,
      );
      return {
        summary: {
          hz,
          cpus,
          samples: {
            total: counts.total,
            idle: idle.growth(began, ended),
            kernel: 0,
            user: 0,
            kernelThreads: counts.total,
          },
          cpuSeconds: counts.total * period,
          lost,
          lostStacks,
          top: countFrames(stacks)
            .filter(({ frame }) => frame.file === "[kernel]")
            .slice(0, MAX_TOP)
            .map(({ frame, self, total: all }) => ({ frame: frame.name, self, total: all })),
          processes: [],
          threads: threads.map(threadRecord),
          work: workRecord(work),
        },
        findings,
        report: buildReport({
          session: context.session,
          options: context.options,
          end,
          hz,
          cpus,
          threads,
          work,
          findings,
          samples: counts.total,
          lost,
          lostStacks,
          spark,
        }),
        profiles: buildProfiles({
          book,
          selection,
          counts,
          drawing,
          nameOf,
          isWanted,
          window: { from, to, period },
        }),
      };
    },
  };
}

function readCpus(value: Json | undefined): number {
  return typeof value === "number" ? value : 1;
}
