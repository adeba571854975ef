import type { Message, Value } from "../wire/message.ts";
import { formatCount } from "../text/format.ts";
import {
  defineProbe,
  type Json,
  type JsonObject,
  type ProbeDefinition,
  type ProbeRun,
  type RunContext,
} from "./define.ts";
import type { Block } from "./report.ts";

/** The command name of sessions that run a user's own script. */
export const SCRIPT_COMMAND = "run";

const MAX_ROWS = 20;

/** A probe around somebody's own bpftrace script: its lines as events, its maps as tables. */
export function defineScriptProbe(points: readonly string[]): ProbeDefinition {
  return defineProbe({
    name: SCRIPT_COMMAND,
    summary: "any other probe, your own included",
    description:
      "Runs a bpftrace script and shows what it prints: lines as they come, maps as tables at the end.",
    filters: [],
    attach: [{ points }],
    isGiven: true,
    prepare: () => ({ variables: {}, tables: {} }),
    run: runScript,
  });
}

function runScript(context: RunContext): ProbeRun {
  const maps = new Map<string, JsonObject[]>();
  let events = 0;
  let rest = "";
  const fresh = { events: 0 };
  const spark: number[] = [];

  function print(text: string, at: number): void {
    // One printf is one message, but a line may be made of several.
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      events += 1;
      fresh.events += 1;
      context.print(line);
      context.emit("event", at, { text: line });
    }
  }

  function readMessage(message: Message, at: number): void {
    if (message.kind === "text") print(message.text, at);
    else if (message.kind === "value") print(`${JSON.stringify(toJson(message.value))}\n`, at);
    else if (message.kind === "map" && message.name !== "@trace_ready") {
      maps.set(
        message.name,
        message.entries.map(({ key, value }) => ({ key, value: toJson(value) })),
      );
    } else if (message.kind === "hist") {
      maps.set(
        message.name,
        message.entries.map(({ key, buckets }) => ({
          key,
          value: buckets.map((bucket) => ({
            min: toNumber(bucket.min),
            max: toNumber(bucket.max),
            count: toNumber(bucket.count),
          })),
        })),
      );
    } else if (message.kind === "stats") {
      maps.set(
        message.name,
        message.entries.map(({ key, count, average, total }) => ({
          key,
          value: { count: toNumber(count), average: toNumber(average), total: toNumber(total) },
        })),
      );
    }
  }

  const mapRecords = () => Object.fromEntries([...maps].map(([name, entries]) => [name, entries]));
  return {
    message: readMessage,
    interval(seconds) {
      const count = fresh.events;
      fresh.events = 0;
      if (seconds > 0) spark.push(count / seconds);
      return { events: count, maps: mapRecords() };
    },
    live: () => ({
      headline: `${formatCount(events)} lines`,
      spark,
      table: mapTables(maps)[0] ?? null,
      lost: 0,
    }),
    finish(end) {
      if (rest !== "") print("\n", end.seconds);
      return {
        summary: { events, maps: mapRecords() },
        findings: [],
        report: [...mapTables(maps)],
        profiles: [],
      };
    },
  };
}

function mapTables(maps: ReadonlyMap<string, readonly JsonObject[]>): Extract<Block, { kind: "table" }>[] {
  return [...maps].map(([name, entries]) => {
    const rows = entries
      .map(({ key, value }) => ({ key: typeof key === "string" ? key : "", value: value ?? null }))
      .sort((a, b) => (typeof a.value === "number" && typeof b.value === "number" ? b.value - a.value : 0));
    const shown = rows
      .slice(0, MAX_ROWS)
      .map(({ key, value }) => [
        typeof value === "number" ? formatCount(value) : JSON.stringify(value),
        key.trim(),
      ]);
    return {
      kind: "table",
      title: name,
      columns: [
        { header: "VALUE", align: "right", shrink: 1 },
        { header: "KEY", overflow: true },
      ],
      rows: shown,
      ...(rows.length > MAX_ROWS
        ? { more: `… and ${formatCount(rows.length - MAX_ROWS)} more: --format json has them all` }
        : {}),
    };
  });
}

const toNumber = (value: number | bigint | null): Json =>
  typeof value === "bigint" ? value.toString() : value;

function toJson(value: Value): Json {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return value.map(toJson);
  if (value !== null && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toJson(inner)]));
  return value;
}
