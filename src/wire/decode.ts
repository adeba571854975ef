import { Buffer } from "node:buffer";
import { OPEN, QUOTE, Unreadable, isSpace, skipSpace, textOf } from "./cursor.ts";
import type { Cursor } from "./cursor.ts";
import type { Message } from "./message.ts";
import { readPlainPrintf } from "./plain-printf.ts";
import { readRecord } from "./record.ts";
import { atLeast } from "./version.ts";
import type { BpftraceVersion } from "./version.ts";

/** Turns the lines of one bpftrace run into messages. */
export interface Decoder {
  /**
   * Decodes one line, without its newline. Never throws. A blank line (two are printed at exit up to 0.23) gives
   * nothing; a line that is no record gives a `diagnostic`; one that starts as a record and cannot be read, `malformed`.
   */
  decode(line: Buffer | string): Message[];
}

/** Printed when all probes are attached, if `__BPFTRACE_NOTIFY_PROBES_ATTACHED` is set; on stdout from 0.23 on. */
const READY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";
const RECORD_START = '{"type": "';
const LONGEST_MALFORMED = 200;
const LONGEST_DIAGNOSTIC = 1000;

/**
 * Makes a decoder for `bpftrace -f json` of that version (0.11 to 0.27; null: not known). Use one for each run and give it
 * every line in order: from 0.24 on the base of some numbers depends on what was printed before.
 *
 * Repaired here, exactly: bytes >= 0x80, double-escaped keys (0.22 and 0.23; not for an unknown version), hexadecimal
 * counts, integers beyond 2^53. Beyond repair: from 0.24 on, map keys have lost their spaces and outer parentheses.
 */
export function createDecoder(version: BpftraceVersion | null): Decoder {
  const modern = atLeast(version, 0, 24);
  const doubleEscapedKeys = atLeast(version, 0, 22) && !modern;
  let stickyHex = version === null ? null : modern;
  let unicodeEscapeSeen = false;

  return {
    decode(line) {
      const bytes = typeof line === "string" ? Buffer.from(line, "utf8") : line;
      const text = readPlainPrintf(bytes);
      if (text !== null) return [{ kind: "text", text }];
      const cursor: Cursor = {
        bytes,
        end: bytes.length,
        position: 0,
        doubleEscapedKeys,
        // An unknown version that quotes a number nobody else would quote is a modern one.
        quotedIntegers: version === null || modern,
        unicodeEscapeSeen,
        stickyHex,
        hexMembers: [],
      };
      const messages = decodeLine(cursor);
      ({ stickyHex, unicodeEscapeSeen } = cursor);
      return messages;
    },
  };
}

function decodeLine(cursor: Cursor): Message[] {
  const messages: Message[] = [];
  for (;;) {
    const start = cursor.position;
    skipSpace(cursor);
    if (cursor.position >= cursor.end) return messages;
    if (startsRecord(cursor)) {
      messages.push(decodeRecord(cursor));
    } else {
      // Text without a newline of its own can stand before a record: it must not hide it.
      const next = cursor.bytes.indexOf(RECORD_START, cursor.position);
      cursor.position = next < 0 ? cursor.end : next;
      messages.push(describeText(excerpt(cursor, start, cursor.position, LONGEST_DIAGNOSTIC)));
    }
  }
}

function describeText(text: string): Message {
  return text.trim() === READY ? { kind: "ready" } : { kind: "diagnostic", text };
}

function decodeRecord(cursor: Cursor): Message {
  const start = cursor.position;
  try {
    return readRecord(cursor);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    cursor.position = cursor.end;
    return {
      kind: "malformed",
      text: excerpt(cursor, start, cursor.end, LONGEST_MALFORMED),
      why: error.message,
    };
  }
}

/** `{"type"`, spaces aside. */
function startsRecord(cursor: Cursor): boolean {
  if (cursor.bytes[cursor.position] !== OPEN) return false;
  let i = cursor.position + 1;
  while (i < cursor.end && isSpace(cursor.bytes[i] ?? 0)) i += 1;
  return cursor.bytes[i] === QUOTE && cursor.bytes.toString("latin1", i, i + 6) === '"type"';
}

/** At most `longest` characters of the text from `start` to `end`. */
function excerpt(cursor: Cursor, start: number, end: number, longest: number): string {
  let last = end;
  while (last > start && isSpace(cursor.bytes[last - 1] ?? 0)) last -= 1;
  // Four bytes hold any character.
  return textOf(cursor.bytes, start, Math.min(last, start + longest * 4)).slice(0, longest);
}
