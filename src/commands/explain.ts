import type { Command } from "commander";
import { counters, describeKernelThread, kernelThreads, softirqs } from "../catalogue/load.ts";
import tcpStates from "../catalogue/tcp-states.json" with { type: "json" };
import { EXIT, TraceError } from "../error.ts";
import type { Topic } from "../probe/define.ts";
import type { Block } from "../probe/report.ts";
import { listProbes, loadProbe } from "../probe/registry.ts";
import { nearest } from "../text/nearest.ts";
import { renderReport } from "../view/report.ts";
import { createStyle } from "../view/style.ts";
import type { CommandIo } from "./io.ts";

/** Words that list a kind instead of one topic: `trace explain reasons`. */
const KINDS: Readonly<Record<string, string>> = {
  reasons: "drop reason",
  sites: "call site",
  counters: "counter",
  threads: "kernel thread",
  states: "TCP state",
  softirqs: "softirq",
};

/** Adds `trace explain`. */
export function addExplainCommand(program: Command, io: CommandIo): void {
  program
    .command("explain")
    .summary("a drop reason, a kernel thread, a counter, a TCP state in an operator's words")
    .argument(
      "[topic]",
      `a name such as NETFILTER_DROP, ksoftirqd/0, TcpExtListenOverflows, CLOSE_WAIT; or ${Object.keys(KINDS).join(", ")}`,
    )
    .option("--format <format>", "text or json", "text")
    .action(async (name: string | undefined, { format }: { format: string }) => {
      const topics = await listAllTopics();
      const kind = name === undefined ? undefined : KINDS[name.toLowerCase()];
      const found =
        name === undefined
          ? []
          : kind === undefined
            ? findTopics(name, topics)
            : topics.filter((topic) => topic.kind === kind);
      if (format === "json") {
        for (const topic of name === undefined ? topics : found)
          io.stdout.write(`${JSON.stringify({ type: "topic", time: new Date().toISOString(), ...topic })}\n`);
      } else if (name === undefined)
        io.stdout.write(renderReport(overview(topics), createStyle(io.width, io.color)));
      else if (kind !== undefined) io.stdout.write(`${found.map((topic) => topic.name).join("\n")}\n`);
      else io.stdout.write(renderReport(found.map(topicBlock), createStyle(io.width, io.color)));
      if (name !== undefined && found.length === 0) throw unknownTopic(name, topics);
    });
}

async function listAllTopics(): Promise<Topic[]> {
  const topics: Topic[] = [];
  for (const folder of await listProbes()) topics.push(...((await loadProbe(folder)).topics?.() ?? []));
  for (const [name, entry] of Object.entries(counters())) {
    const netstat = entry.netstat === null ? "" : ` netstat -s: "${entry.netstat}".`;
    topics.push({
      name,
      kind: "counter",
      text: `${entry.meaning}${netstat}`,
      check: entry.check,
      fix: entry.fix,
      related: entry.explainedBy,
    });
  }
  for (const [name, entry] of Object.entries(tcpStates)) {
    topics.push({
      name,
      kind: "TCP state",
      text: `${entry.meaning} ${entry.watch}`,
      check: entry.check,
      fix: [],
    });
  }
  for (const entry of kernelThreads()) {
    topics.push({
      name: entry.name,
      kind: "kernel thread",
      text: `${entry.role} When busy: ${entry.busyMeans}`,
      check: entry.check,
      fix: [],
    });
  }
  for (const [name, entry] of Object.entries(softirqs())) {
    topics.push({
      name,
      kind: "softirq",
      text: `${entry.meaning} When busy: ${entry.busyMeans}`,
      check: entry.check,
      fix: [],
    });
  }
  return topics;
}

/** By name in any case, without the kernel's prefixes; a counter also by its short name; a thread by its own name (`ksoftirqd/3`). */
function findTopics(name: string, topics: readonly Topic[]): Topic[] {
  const wanted = name
    .toLowerCase()
    .replace(/^skb_drop_reason_|^tcp_(?=(?:established|syn_|fin_|time_|close|last_|listen))/, "")
    .replaceAll("-", "_");
  const exact = topics.filter((topic) => topic.name.toLowerCase().replaceAll("-", "_") === wanted);
  if (exact.length > 0) return exact;
  const short = topics.filter(
    (topic) =>
      topic.kind === "counter" &&
      topic.name.toLowerCase().replace(/^(?:tcpext|ipext|mptcpext)/, "") === wanted,
  );
  if (short.length > 0) return short;
  const thread = describeKernelThread(name);
  if (thread === null) return [];
  return [
    {
      name,
      kind: `kernel thread, ${thread.name}`,
      text: `${thread.role} When busy: ${thread.busyMeans}`,
      check: thread.check,
      fix: [],
    },
  ];
}

function unknownTopic(name: string, topics: readonly Topic[]): TraceError {
  const close = nearest(
    name,
    topics.map((topic) => topic.name),
  );
  return new TraceError(EXIT.usage, `nothing is known about ${JSON.stringify(name)}`, {
    why: close.length > 0 ? `did you mean ${close.join(", ")}?` : null,
    hint: "trace explain reasons   # also: counters, threads, states, sites, softirqs",
  });
}

function topicBlock(topic: Topic): Block {
  const details = [
    ...labelled("causes", topic.causes ?? [], false),
    ...labelled("see", topic.check.map(readable), true),
    ...labelled("fix", topic.fix.map(readable), true),
    ...labelled("related", topic.related?.length ? [topic.related.join(", ")] : [], false),
  ];
  return { kind: "entry", label: `${topic.name}  (${topic.kind})`, text: topic.text, details };
}

function labelled(label: string, texts: readonly string[], verbatim: boolean) {
  return texts.map((text, index) => ({ label: index === 0 ? label : "", text, verbatim }));
}

/** Placeholders as words to replace: outside a report nobody knows the device. */
function readable(command: string): string {
  return command.replaceAll("{ns}", "").replace(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
}

function overview(topics: readonly Topic[]): Block[] {
  const rows = Object.entries(KINDS).map(([word, kind]) => [
    `trace explain ${word}`,
    String(topics.filter((topic) => topic.kind === kind).length),
    `every ${kind}`,
  ]);
  return [
    {
      kind: "table",
      columns: [{ header: "LIST" }, { header: "ENTRIES", align: "right" }, { header: "WHAT" }],
      rows,
    },
  ];
}
