import { isPprof } from "./detect-pprof.ts";
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
  if (isPprof(bytes)) return { format: "pprof" };
  if (/^@\w*\[(?:\r?$|[^\n]*, \r?$|[^\n]*\]:)/m.test(text)) return { format: "bpftrace" };
  if (PERF_SCRIPT.some((pattern) => pattern.test(text))) return { format: "perf-script" };
  if (isFolded(text)) return { format: "folded" };
  if (PERF_BARE.test(text)) return { format: "perf-script" };
  return UNKNOWN;
}

/** What `perf script` prints, by the fields it was asked for. */
const PERF_SCRIPT: readonly RegExp[] = [
  // A pid, an event, and a frame in the next line.
  /^[ \t]*\S.*?[ \t]-?\d+(?:\/-?\d+)?[ \t][^\n]*\S:[^\n]*\n[ \t]+[0-9a-f]{4,16}(?: |\n)/m,
  // A pid, a time, and an event.
  /^[ \t]*\S[^\n]*[ \t]\d+[ \t]+(?:\[\d{3,}\][ \t]+)?\d+\.\d+:[^\n]*\S:/m,
  // A frame of a call chain: a tab, and an address 16 columns wide.
  /^\t(?=.{16}(?: |\r?$)) {0,15}[0-9a-f]{1,16}(?: |\r?$)/m,
  // No call chain: the frame in the head's own line, behind a time or an event.
  /^[^\n]*(?: \d+\.\d+|\S[ \t]+-?\d+(?:\/-?\d+)?[ \t][^\n]*[a-z_/][^\n]*):[ \t]+(?:\d+[ \t]+)?[0-9a-f]{4,16} \S/m,
];
/** The same with neither: as wide as perf's columns are. */
const PERF_BARE = /^ *\S.{0,15}? {2,}[0-9a-f]{6,16} [^\d\s]/m;

const FOLDED_LINE = /\S[ \t]+-?\d+(?:\.\d+)?(?:e[-+]?\d+)?[ \t]*$/;
/** Lines that are looked at: a file that is folded shows it early. */
const LOOK_LINES = 500;

/** Text whose lines end in a number is not rare: half of them must, or one that also has a separator between frames. */
function isFolded(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- what stands in no text
  if (/[\u0000-\u0008\u000e-\u001a]/.test(text.slice(0, 4096))) return false;
  // A comment, unless it could be a stack: a function may be called "#".
  const lines = text
    .split(/\r?\n/, LOOK_LINES)
    .filter((line) => line.trim() !== "" && (!line.startsWith("#") || FOLDED_LINE.test(line)));
  const folded = lines.filter((line) => FOLDED_LINE.test(line));
  return folded.length * 2 >= Math.max(1, lines.length) || folded.some((line) => /\S;\S/.test(line));
}

const UNKNOWN: Detected = {
  unreadable: "it is no profile that trace knows",
  hint: "known: bpftrace maps (text, -f json), folded stacks, perf script, speedscope, pprof",
};

function isSpeedscope(text: string): boolean {
  return text.includes("speedscope.app/file-format-schema.json") || /"(?:profiles|shared)"\s*:/.test(text);
}
