import type { InputFormat } from "./report.ts";

/** What the head of a file shows it to be, or why it cannot be read. */
export type Detected =
  | { readonly format: InputFormat }
  | { readonly unreadable: string; readonly hint: string | null };

/** How much of the head is looked at: banners and comments come first. */
const LOOK_BYTES = 1 << 18;

/** Judges by content: a file's name says nothing about what a pipe or a redirected command put in it. */
export function detectFormat(head: Buffer): Detected {
  const bytes = head.subarray(0, LOOK_BYTES);
  const text = bytes.toString("latin1");
  if (text.startsWith("PERFILE2")) {
    return {
      unreadable: "it is perf's own binary format",
      hint: "perf script -i FILE | trace convert - -o OUT",
    };
  }
  if (/^\{"type": ?"/m.test(text)) return { format: "bpftrace-json" };
  const start = text.replace(/^(?:\xef\xbb\xbf)?\s*/, "");
  if (start.startsWith("{") && isSpeedscope(start)) return { format: "speedscope" };
  if (isBinary(bytes)) return { format: "pprof" };
  if (/^@\w*\[(?:\r?$|[^\n]*, \r?$|[^\n]*\]:)/m.test(text)) return { format: "bpftrace" };
  if (/^[ \t]*\S.*?[ \t]-?\d+(?:\/-?\d+)?[ \t][^\n]*\S:[^\n]*\n[ \t]+[0-9a-f]{4,16}(?: |\n)/m.test(text)) {
    return { format: "perf-script" };
  }
  if (/^[ \t]*\S[^\n]*[ \t]\d+[ \t]+(?:\[\d{3,}\][ \t]+)?\d+\.\d+:[^\n]*\S:/m.test(text)) {
    return { format: "perf-script" };
  }
  if (/^[^\n]*\S \d+(?:\.\d+)?[ \r]*$/m.test(text)) return { format: "folded" };
  return UNKNOWN;
}

const UNKNOWN: Detected = {
  unreadable: "it is no profile that trace knows",
  hint: "known: bpftrace maps (text, -f json), folded stacks, perf script, speedscope, pprof",
};

function isSpeedscope(text: string): boolean {
  return text.includes("speedscope.app/file-format-schema.json") || /"(?:profiles|shared)"\s*:/.test(text);
}

/** Text of any kind has no such control characters; every pprof file has some in its first messages. */
function isBinary(bytes: Buffer): boolean {
  const head = bytes.subarray(0, 4096);
  return head[0] === 0x0a && head.some((byte) => byte < 9);
}
