import { parseCpuTimes, shareCpuTimes, type CpuTimes } from "../../src/evidence/cpu.ts";
import type { EndInfo, Fact, Json, ProbeResult, ProbeRun, RunContext } from "../../src/probe/define.ts";
import { readHz } from "../../src/probe/hz.ts";
import type { LiveView } from "../../src/probe/report.ts";
import { SampleBook } from "../../src/profile/samples/book.ts";
import { GrowingCount, SampleClock } from "../../src/profile/samples/clock.ts";
import { SampleLedger } from "../../src/profile/samples/ledger.ts";
import { SampleLog } from "../../src/profile/samples/log.ts";
import {
  parseCallers,
  parseStackSample,
  parseUserSample,
  type SampleRecord,
} from "../../src/profile/samples/record.ts";
import { countFrames } from "../../src/profile/samples/top.ts";
import type { Message } from "../../src/wire/message.ts";
import { countSamples, IDLE, kindOf, type Kind } from "./counts.ts";
import { liveTable, headline } from "./live.ts";
import { buildProfiles, Drawing, weighWithRoot } from "./profiles.ts";
import { buildReport } from "./report.ts";
import { countTruncated, countLost } from "./stacks.ts";
import { summarise } from "./summary.ts";

/** Intervals the sparkline remembers. */
const MAX_SPARK = 120;

/** The reading side of `trace profile`. */
export function runProfile(context: RunContext): ProbeRun {
  const hz = readHz(context.options);
  const book = new SampleBook((fact, key) => context.ask({ fact, key }));
  const log = new SampleLog();
  const clock = new SampleClock();
  const idle = new GrowingCount();
  const ledger = new SampleLedger();
  const spark: number[] = [];
  const total: Record<Kind, number> = { user: 0, kernel: 0, kernelThreads: 0 };
  const fresh: Record<Kind, number> = { user: 0, kernel: 0, kernelThreads: 0 };
  const perStack: number[] = [];
  const times: { before: CpuTimes | null; after: CpuTimes | null } = { before: null, after: null };
  let beganAt: number | null = null;
  let idleReported = 0;

  const isWanted = (isKernelMode: boolean): boolean =>
    isKernelMode ? context.options["user"] !== true : context.options["kernel"] !== true;

  function take(sample: SampleRecord | null, at: number): void {
    if (sample === null) return malformed();
    clock.see(sample.nsecs, at);
    ledger.receive(sample.cpu, sample.nsecs / 1e9);
    const { thread, stack, entry } = book.add(sample, at);
    if (!isWanted(entry.isKernelMode)) return;
    log.add(sample.nsecs / 1e9, thread.index, stack);
    const kind = kindOf(entry);
    total[kind] += 1;
    fresh[kind] += 1;
    perStack[stack] = (perStack[stack] ?? 0) + 1;
  }

  function readText(text: string, at: number): void {
    switch (text.charAt(0)) {
      case "u":
        return take(parseUserSample(text), at);
      case "S":
        return take(parseStackSample(text), at);
      case "V": {
        const record = parseCallers(text);
        return record === null ? malformed() : book.addCallers(record, at);
      }
      case "I": {
        const nsecs = Number(text.split("\t")[1] ?? NaN);
        if (!(nsecs >= 0)) return malformed();
        clock.see(nsecs, at);
        return log.add(nsecs / 1e9, IDLE, IDLE);
      }
      case "E":
        // All samples are here, and what is asked for now is still waited for.
        return book.frames.finish();
      case "B":
        return;
      default:
        malformed();
    }
  }

  function readCounts({ name, entries }: Extract<Message, { kind: "map" }>, at: number): void {
    const [first] = entries;
    if (name === "@idle" && typeof first?.value === "number") idle.see(at, first.value);
    if (name === "@taken")
      ledger.settle(new Map(entries.map(({ key, value }) => [Number(key), Number(value)] as const)));
  }

  function malformed(): void {
    context.notice("warning", "malformed", "lines of the program that could not be read");
  }

  return {
    message(message, at) {
      if (message.kind === "text") readText(message.text, at);
      else if (message.kind === "map") readCounts(message, at);
      book.frames.tick(at);
    },
    fact({ fact, key, value }: Fact, at) {
      if (fact !== "cpu") return book.fact(fact, key, value);
      const read = typeof value === "string" ? parseCpuTimes(value) : null;
      if (key === "before") {
        beganAt = at;
        times.before = read;
        clock.begin(at);
      } else if (key === "after") {
        times.after = read;
      }
    },
    interval(seconds) {
      const samples = fresh.user + fresh.kernel + fresh.kernelThreads;
      if (seconds > 0) {
        spark.push(samples / seconds);
        if (spark.length > MAX_SPARK) spark.shift();
      }
      const fields = { samples, ...fresh, idle: idle.last - idleReported };
      idleReported = idle.last;
      for (const kind of ["user", "kernel", "kernelThreads"] as const) fresh[kind] = 0;
      return fields;
    },
    live: (): LiveView => ({
      headline: headline(total),
      spark,
      table: liveTable(book, perStack),
      lost: 0,
    }),
    finish(end: EndInfo): ProbeResult {
      const endedAt = beganAt === null ? null : beganAt + end.seconds;
      if (endedAt !== null) clock.end(endedAt);
      const { from, to } = clock.window();
      const selection = log.select(from, to);
      const counts = countSamples(book, selection);
      const idleSamples = context.options["idle"] === true ? counts.idle : idle.growth(beganAt, endedAt);
      const lost = ledger.lost(end.lost, to, 1 / hz);
      if (lost > end.lost)
        context.notice("warning", "lost-events", "samples that bpftrace did not hand over", lost - end.lost);
      const drawing = new Drawing(book);
      const stacks = [...counts.stacks].map(([stack, count]) => ({ frames: drawing.own(stack), count }));
      const top = countFrames(stacks);
      const truncated = countTruncated(book, counts);
      const lostStacks = countLost(book, counts);
      const cpuTimes =
        times.before === null || times.after === null ? null : shareCpuTimes(times.before, times.after);
      const samples = counts.user + counts.kernel + counts.kernelThreads;
      const shown = samples + (context.options["idle"] === true ? counts.idle : 0);
      const input = { session: context.session, options: context.options, hz, end, counts, top };

      return {
        summary: summarise({
          hz,
          cpus: readCpus(context),
          counts,
          shown,
          idle: idleSamples,
          cpuTimes,
          lost,
          lostStacks,
          truncated,
          top,
        }),
        findings: [],
        report: buildReport({
          ...input,
          drawn: weighWithRoot(book, counts, drawing),
          book,
          idle: idleSamples,
          lost,
          lostStacks,
          truncated,
          cpuTimes,
          spark,
          cpus: readCpus(context),
        }),
        profiles: buildProfiles({ book, drawing, selection, counts, hz, from, to }),
      };
    },
  };
}

function readCpus(context: RunContext): number {
  const cpus: Json | undefined = context.session.tables["cpus"];
  return typeof cpus === "number" ? cpus : 1;
}
