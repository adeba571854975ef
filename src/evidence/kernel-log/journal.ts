import type { KernelLine } from "./line.ts";
import { parseUnix } from "./time.ts";

/** A journal entry that another program wrote. */
export const FOREIGN = "foreign";

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isByteArray(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((byte) => typeof byte === "number");
}

/** journalctl writes text as a string, bytes that are no UTF-8 as an array, several values of a field as a list. */
function textOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (isByteArray(value)) return Buffer.from(value).toString();
  if (Array.isArray(value)) return value.length > 0 ? textOf(value[0]) : null;
  return null;
}

/**
 * The fields of one journal entry (`-o json`, `-o export`) as a kernel line; `FOREIGN` when the entry is not the
 * kernel's, null when it holds no readable message (journalctl prints `null` for a field over its size limit).
 */
export function lineFromJournal(
  fields: Readonly<Record<string, unknown>>,
): KernelLine | null | typeof FOREIGN {
  const transport = textOf(fields["_TRANSPORT"]);
  const identifier = textOf(fields["SYSLOG_IDENTIFIER"]);
  // With _TRANSPORT the journal itself vouches; a saved copy may have been stripped of the trusted fields.
  if (transport !== null ? transport !== "kernel" : identifier !== null && identifier !== "kernel")
    return FOREIGN;
  const facility = textOf(fields["SYSLOG_FACILITY"]);
  if (facility !== null && facility !== "0") return FOREIGN;
  const text = textOf(fields["MESSAGE"]);
  if (text === null) return null;
  const real = textOf(fields["__REALTIME_TIMESTAMP"]);
  const boot = textOf(fields["_SOURCE_MONOTONIC_TIMESTAMP"]) ?? textOf(fields["__MONOTONIC_TIMESTAMP"]);
  const priority = textOf(fields["PRIORITY"]);
  const time = real !== null && /^\d{7,17}$/.test(real) ? parseUnix(real.slice(0, -6), real.slice(-6)) : null;
  const monotonic = boot !== null && /^\d{1,17}$/.test(boot) ? Number(boot) / 1e6 : null;
  return {
    time: time ?? (monotonic === null ? null : { kind: "monotonic", seconds: monotonic }),
    host: textOf(fields["_HOSTNAME"]),
    text,
    ...(monotonic === null ? {} : { monotonic }),
    ...(priority !== null && /^[0-7]$/.test(priority) ? { level: Number(priority) } : {}),
  };
}

/** A line of a log as a collector wrapped it into JSON. */
export interface WrappedText {
  readonly inner: string;
  /** The collector names the kernel as the program that wrote it. */
  readonly isKernel: boolean;
}

/** Where collectors keep the line: Docker and Fluent Bit `log`, Loki `line`, Google Cloud `textPayload`, others `message`. */
const TEXT_FIELDS = ["log", "message", "msg", "line", "textPayload"];
const NAME_FIELDS = ["ident", "identifier", "syslog_identifier", "appname", "program", "tag", "transport"];

function unwrapJson(fields: Readonly<Record<string, unknown>>): WrappedText | null {
  for (const name of TEXT_FIELDS) {
    const text = fields[name];
    if (typeof text !== "string") continue;
    return { inner: text.replace(/\n$/, ""), isKernel: NAME_FIELDS.some((key) => fields[key] === "kernel") };
  }
  return null;
}

/**
 * One line of JSON: `journalctl -o json` (or json-seq, json-sse), also in the envelope of Google Cloud's logging, or a collector's line.
 * Null when it is no JSON object or has no message.
 */
export function parseJournalJson(line: string): KernelLine | WrappedText | null | typeof FOREIGN {
  // json-seq starts each record with RS, json-sse with "data: ".
  const start = line.indexOf("{");
  try {
    const parsed: unknown = JSON.parse(start > 0 ? line.slice(start) : line);
    if (!isRecord(parsed)) return null;
    const fields = isRecord(parsed["jsonPayload"]) ? parsed["jsonPayload"] : parsed;
    return "MESSAGE" in fields ? lineFromJournal(fields) : (unwrapJson(fields) ?? lineFromJournal(fields));
  } catch {
    return null;
  }
}
