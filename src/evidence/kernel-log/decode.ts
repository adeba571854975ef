import { createExportReader, type ExportReader } from "./export.ts";
import { FOREIGN, parseJournalJson, type WrappedText } from "./journal.ts";
import { createJsonBlocks, type JsonBlocks } from "./json-blocks.ts";
import { parseKmsgRecord, unescapeKmsg } from "./kmsg.ts";
import { type KernelLine, type KernelLogCounts, MAX_LINE } from "./line.ts";
import { type Prefixed, type PrefixState, parsePrefix } from "./prefix.ts";
import { createStamps } from "./stamp.ts";
import { createVerboseReader, isVerboseHead, type VerboseReader } from "./verbose.ts";
import type { TimeContext } from "./time.ts";
import { unwrapLine } from "./unwrap.ts";

/** Text lines in, kernel records out. One decoder reads one stream, in order. */
export interface LineDecoder {
  /** Adds the records that `line` completes to `out`: the last one is held back, a continuation may follow. */
  push(line: string, out: KernelLine[], cut?: boolean): void;
  /** The record held back. */
  end(out: KernelLine[]): void;
}

// oxlint-disable-next-line no-control-regex -- colours of `dmesg -L` are escape sequences
const COLOUR = /\u001b\[[\d;]*m/g;
/** Only `dmesg` colours the start of a line; further in, an escape is part of the message. */
// oxlint-disable-next-line no-control-regex -- see above
const COLOURED = /^(?: *|\w+ *:\w+ *: )\u001b\[/;
/** `dmesg` and `journalctl` indent the further lines of a record to the width of the prefix (dmesg: at least this). */
const INDENT = 8;
const KMSG_TAG = /^ [A-Z]+=/;
const KMSG = /^\d{1,6},\d+,\d+,/;
const BLOB = /^\[\d+(?:\.\d+)?[BKMG] blob data\]$/;
const BRACKET = 0x5b;
const BRACE = 0x7b;
const SPACE = 0x20;
const TAB = 0x09;
const QUOTE = 0x3e;
const RECORD_SEPARATOR = 0x1e;
/** A log quoted in a mail, or pasted with an indent before its timestamps. */
const PASTED = /^(?:(?:> ?)+|[ \t]+(?=\[ *\d+\.\d{6}\] |kernel: |[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d ))/;
const NOTE = /^-- .* --$|^(?:Panic|Oops)#\d+ Part\d+$/;

/**
 * Decodes a kernel log of any container, told by the content of each line: `dmesg` in every time format, `-x`, `-r`,
 * `-J`, coloured or not; /dev/kmsg; `journalctl` short formats, json, export; syslog files; bare console text.
 * Never throws; what cannot be read is counted.
 */
export function createLineDecoder(context: TimeContext, counts: KernelLogCounts): LineDecoder {
  const stamps = createStamps(context);
  const state: PrefixState = { relative: null, monotonicHost: null };
  let held: KernelLine | null = null;
  let width = 0;
  let prefixed = false;
  let lastForeign = false;
  // Lines of this log come with another tool's prefix (grep's file names …).
  let wrapped = false;
  let blocks: JsonBlocks | null = null;
  let exported: ExportReader | null = null;
  let verbose: VerboseReader | null = null;

  const release = (out: KernelLine[]): void => {
    if (held === null) return;
    if (BLOB.test(held.text)) counts.blobs += 1;
    out.push(held);
    counts.records += 1;
    held = null;
  };
  const accept = (line: KernelLine | null | typeof FOREIGN, out: KernelLine[]): void => {
    release(out);
    lastForeign = line === FOREIGN;
    if (line === null) counts.malformed += 1;
    else if (line === FOREIGN) counts.foreign += 1;
    else held = line;
  };
  const extend = (text: string): void => {
    if (held === null) {
      if (lastForeign) counts.foreign += 1;
      return;
    }
    const more = held.host === null ? unescapeKmsg(text) : text;
    if (held.text.length + more.length < MAX_LINE) held.text += `\n${more}`;
    else held.truncated = true;
  };
  const acceptPrefixed = (found: Prefixed | typeof FOREIGN, out: KernelLine[]): void => {
    prefixed = true;
    if (found === FOREIGN) return accept(FOREIGN, out);
    width = found.width;
    // dmesg prints control characters and bytes that are no text as `\xNN`; syslog and the journal have a host.
    if (found.line.host === null) found.line.text = unescapeKmsg(found.line.text);
    accept(found.line, out);
  };
  const plain = (line: string, out: KernelLine[]): void => {
    const indent = line.length - line.trimStart().length;
    if (prefixed && (lastForeign || (indent >= INDENT && held !== null))) {
      return extend(line.slice(Math.min(indent, width)));
    }
    if (line.trim() === "" || NOTE.test(line)) return release(out);
    accept({ time: null, host: null, text: line }, out);
  };

  /** Only a log that begins so is read so: further on such a line may be another program's text. */
  const unwrap = (line: string): Prefixed | null | typeof FOREIGN => {
    const inner = prefixed && !wrapped ? null : unwrapLine(line);
    const found = inner === null ? null : parsePrefix(inner, stamps, state);
    if (found !== null) wrapped = true;
    return found;
  };
  const readText = (line: string, out: KernelLine[]): void => {
    const found = parsePrefix(line, stamps, state) ?? unwrap(line);
    if (found === null) plain(line, out);
    else acceptPrefixed(found, out);
  };
  /** A line of a format that is under way; false where it ended without a word. */
  const readOpen = (line: string, out: KernelLine[]): boolean => {
    if (exported !== null) {
      const record = exported.push(line);
      if (record !== undefined) accept(record, out);
      return true;
    }
    if (blocks !== null) {
      const records = blocks.push(line);
      for (const record of records ?? []) accept(record, out);
      if (records === null || !blocks.open) blocks = null;
      if (records === null) counts.malformed += 1;
      return records !== null;
    }
    const result = verbose?.push(line);
    if (result === null) return false;
    if (result !== undefined) accept(result.entry, out);
    return true;
  };
  /** A collector's JSON around a line of a log: without a prefix of its own the line counts where the collector names the kernel. */
  const readInner = ({ inner, isKernel }: WrappedText, out: KernelLine[]): void => {
    const found = parsePrefix(inner, stamps, state);
    if (found !== null) acceptPrefixed(found, out);
    else accept(isKernel ? { time: null, host: null, text: inner } : FOREIGN, out);
  };
  const readAny = (raw: string, out: KernelLine[]): void => {
    if (raw.startsWith("__CURSOR=")) exported ??= createExportReader();
    else if (raw === "{") blocks ??= createJsonBlocks();
    else if (raw.includes(" [s=") && isVerboseHead(raw)) verbose ??= createVerboseReader();
    if ((exported !== null || blocks !== null || verbose !== null) && readOpen(raw, out)) return;
    let line = raw.includes("\0") ? raw.replaceAll("\0", "") : raw;
    const first = line.charCodeAt(0);
    if (first === BRACE || first === RECORD_SEPARATOR || line.startsWith("data: {")) {
      const entry = parseJournalJson(line);
      return typeof entry === "object" && entry !== null && "inner" in entry
        ? readInner(entry, out)
        : accept(entry, out);
    }
    if (KMSG.test(line)) {
      const record = parseKmsgRecord(line);
      return accept(record === null ? null : record.facility === 0 ? record : FOREIGN, out);
    }
    if (first === SPACE || first === QUOTE || first === TAB) {
      if (held !== null && "sequence" in held && KMSG_TAG.test(line)) return;
      line = line.replace(PASTED, "");
    }
    if (line.includes("\u001b") && COLOURED.test(line)) line = line.replace(COLOUR, "");
    readText(line, out);
  };

  return {
    push(raw, out, cut = false) {
      const line = raw.endsWith("\r") ? raw.replace(/\r+$/, "") : raw;
      // A format that spans lines goes on as it began.
      if (exported === null && verbose === null && blocks === null) {
        // Most lines of most logs: a timestamp in brackets, or a syslog line.
        if (line.charCodeAt(0) === BRACKET && !line.includes("\0")) readText(line, out);
        else readAny(line, out);
      } else if (!readOpen(line, out)) readAny(line, out);
      if (cut && held !== null) held.truncated = true;
    },
    end(out) {
      const record = exported?.end();
      if (record !== undefined) accept(record, out);
      const entry = verbose?.end();
      if (entry) accept(entry.entry, out);
      release(out);
    },
  };
}
