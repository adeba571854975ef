/** What a sample's head line says. Every part depends on the `-F` with which `perf script` was called. */
export interface PerfHead {
  /** null where the command names are left out. */
  readonly comm: string | null;
  /** null where the events are left out. */
  readonly event: string | null;
  /** What follows the event: the frame itself, where perf recorded no call chain; else what a tracepoint says. */
  readonly rest: string;
}

/** perf's own records (`--show-mmap-events` and so on) stand among the samples. */
const OWN_RECORD = /^PERF_RECORD_/;
const TIME = /(?:^| )(\d+\.\d+):(?= |$)/g;
/** How the CPU ran (`-F +misc`: user, kernel, …), and the latency flags of tracepoints: behind a pid or a cpu only. */
const FLAGS = /(?<=[\d\]]) +(?:[KUHGSEMDp]{1,4}|(?=\S*\.)[A-Za-z.\d]{4,6})$/;
/** comm, pid or pid/tid, cpu: as much of it as there is. */
const WHO = /^(.*?)(?:(?:^| +)-?\d+(?:\/-?\d+)?)?(?:(?:^| +)\[\d+\])?$/s;
/** Period, event and what follows it. An event's name holds colons (`cycles:u`), no spaces. */
const WHAT = /^(?:(\d+) +)?(\S*[^\s\d.:]\S*):(?: +(.*))?$/s;
const BARE_FRAME = /^[0-9a-f]{4,16}(?: |$)/;

/**
 * Reads a head line that shows by itself to be one: it has a time, an event, or both. null if it is none; "record" for a record of
 * perf's own. The comm may hold anything, also what looks like a pid or a time.
 */
export function parsePerfHead(text: string): PerfHead | "record" | null {
  const line = text.trim();
  for (const { index, 0: found } of line.matchAll(TIME)) {
    const what = parseWhat(line.slice(index + found.length).trim());
    if (what === "record") return what;
    if (what !== null) return { comm: parseComm(line.slice(0, index).trimEnd()), ...what };
  }
  return parseTimeless(line);
}

/** Without a time: the event, or perf's own record, stands behind the pid or is all there is. */
function parseTimeless(line: string): PerfHead | "record" | null {
  const alone = /^\S*[^\s\d.:]\S*:$/.test(line);
  if (alone) return { comm: null, event: line.slice(0, -1), rest: "" };
  for (const { index, 0: found } of line.matchAll(/(?:^| )-?\d+(?:\/-?\d+)?(?: +\[\d+\])?(?= )/g)) {
    const place = index + found.length;
    const what = parseWhat(line.slice(place).trim());
    if (what === "record") return what;
    if (what?.event != null) return { comm: parseComm(line.slice(0, place)), ...what };
  }
  return null;
}

function parseWhat(text: string): Omit<PerfHead, "comm"> | "record" | null {
  if (OWN_RECORD.test(text)) return "record";
  if (text === "" || /^\d+$/.test(text)) return { event: null, rest: "" };
  const match = WHAT.exec(text);
  if (match !== null) return { event: match[2] ?? "", rest: (match[3] ?? "").trim() };
  // No event was asked for, and no call chain recorded: the frame stands here.
  const frame = text.replace(/^\d+ +(?=[0-9a-f]+ )/, "");
  return BARE_FRAME.test(frame) ? { event: null, rest: frame } : null;
}

function parseComm(text: string): string | null {
  const comm = WHO.exec(text.replace(FLAGS, ""))?.[1]?.trim() ?? "";
  return comm === "" ? null : comm;
}

/** Columns are wide: two spaces stand between the command and an address, which sentences do not have. */
const BARE_SAMPLE = /^ *(\S.{0,15}?)? {2,}([0-9a-f]{4,16} \S.*)$/s;

/** A period that stands alone behind who it was: its column is wide, and a command's name seldom ends in `1/2`. */
const BARE_PERIOD = /(?<=(?:^| )-?\d+\/-?\d+(?: +\[\d+\])?) +\d+$|(?<=(?:^| )-?\d+(?: +\[\d+\])?) {2,}\d+$/;

/**
 * Reads a head line with neither time nor event: `comm`, or `comm pid`, which only the frames behind it show to be one; or, where
 * perf recorded no call chain, `comm address symbol`. null if it cannot be one.
 */
export function parseBareHead(text: string): PerfHead | null {
  const sample = BARE_SAMPLE.exec(text);
  if (sample !== null) return { comm: parseComm(sample[1] ?? ""), event: null, rest: sample[2] ?? "" };
  const line = text.trim().replace(BARE_PERIOD, "");
  return line === "" ? null : { comm: parseComm(line), event: null, rest: "" };
}
