import { FOREIGN } from "./journal.ts";
import type { KernelLine, KernelTime } from "./line.ts";
import { monthOf, parseUnix } from "./time.ts";
import type { Stamps } from "./stamp.ts";

/** What the prefixes of a stream said so far; `dmesg --time-format reltime` and short-monotonic need it. */
export interface PrefixState {
  /** Wall time of the last `[Nov22 21:40]`, the base of the `[  +0.01]` that follow. Seconds since the epoch. */
  relative: number | null;
  /** Host of a `[12.3] host kernel:` line: other lines of that host are other programs'. */
  monotonicHost: string | null;
}

/** A line with a recognised prefix; `width` is the prefix's length in characters. */
export interface Prefixed {
  line: KernelLine;
  width: number;
}

const MONOTONIC = /^\[ *(\d+\.\d+)(?: < *\d+\.\d+ *>| +)?\] ?(?:\[ *([TC]\d+)\] ?)?/;
const DELTA_ONLY = /^\[< *\d+\.\d+ *>\] ?/;
const RELATIVE = /^\[ *\+(\d+\.\d+)\] ?/;
const RELATIVE_BASE = /^\[(\p{L}{3}|\d{1,2}月) ?(\d{1,2}) (\d\d:\d\d)\] ?/u;
const CTIME = /^\[[^\s\]]+ +([^\s\]]+) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4})\] ?/;
/** Some collectors write `[2026-09-12 10:14:02 UTC] kernel: text`, talosctl `[2026-09-12T10:14:02.5Z]: text`. */
const ISO_BRACKET = /^\[(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d+))? ?(Z|UTC|[+-]\d\d:?\d\d)?\]:? ?/;
const MONOTONIC_HOST = /^(\S+) kernel: ?/;
const DECODED = /^(\w+) *:(\w+) *: ?/;
const PRIORITY = /^<(\d{1,3})>/;
/** The month in the words of the locale: journalctl and some syslog daemons write it so ("mai 15", "Mär 15", "juin 15"). */
const SYSLOG = /^(\p{L}{3,5}\.?) +(\d{1,2}) (\d\d:\d\d:\d\d)(?:\.(\d+))? /u;
const LOGREAD = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4}) /;
const FULL = /^[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d+))? (\S+) /;
const ISO = /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:([.,])(\d+))?(Z|[+-]\d\d:?\d\d)? /;
const UNIX = /^(\d{9,11})\.(\d{1,9}) /;
const RFC5424 =
  /^1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d) (\S+) (\S+) \S+ \S+ (?:-|(?:\[[^\]]*\])+) ?/;
const TAG = /^(?:(?!kern\.)(\S+) )?(?:kern\.\w+ )?kernel(?:\[\d*\])?: ?/;
/** A second stamp after the collector's (CloudWatch, `kubectl logs --timestamps`), or the container runtime's columns. */
const NESTED =
  /^(?:std(?:out|err) [FP] )?(?=\[ *\d+\.\d|\p{L}{3,5}\.? +\d{1,2} \d\d:\d\d:\d\d |\d{4}-\d\d-\d\d[T ])/u;
const OTHER_TAG = /^[^\s:]+ [\w./@()-]+(?:\[\d+\])?: /;

const BRACKET = 0x5b;

const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
const FACILITIES = /^(?:kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|res\d|local\d)$/;

interface Draft {
  time: KernelTime | null;
  host: string | null;
  monotonic: number | null;
  level: number | null;
  caller: string | null;
}

function finish(draft: Draft, text: string, width: number): Prefixed {
  const line: KernelLine = { time: draft.time, host: draft.host, text };
  if (draft.monotonic !== null) line.monotonic = draft.monotonic;
  if (draft.level !== null) line.level = draft.level;
  if (draft.caller !== null) line.caller = draft.caller;
  return { line, width };
}

/** Seconds since boot at the start of `text`, beside whatever the container says. */
function takeMonotonic(text: string, draft: Draft): string {
  if (text.charCodeAt(0) !== BRACKET) return text;
  const match = MONOTONIC.exec(text);
  if (match === null) return text;
  draft.monotonic = Number(match[1]);
  draft.caller = match[2] ?? draft.caller;
  draft.time ??= { kind: "monotonic", seconds: draft.monotonic };
  return text.slice(match[0].length);
}

/** rsyslog writes control characters as `#ooo` ($EscapeControlCharactersOnReceive), newlines as `#012`. */
function unescapeSyslog(text: string): string {
  if (!text.includes("#0")) return text;
  return text.replace(/#(0[0-3][0-7])/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** After the time: `[host] kernel: text`. Null where it is neither that nor another program's tag. */
function takeTag(rest: string, draft: Draft, before: number): Prefixed | null | typeof FOREIGN {
  const tag = TAG.exec(rest);
  if (tag === null) return OTHER_TAG.test(rest) ? FOREIGN : null;
  draft.host = tag[1] ?? draft.host;
  const body = rest.slice(tag[0].length);
  return finish(draft, unescapeSyslog(takeMonotonic(body, draft)), before + tag[0].length);
}

function parseBracket(
  line: string,
  stamps: Stamps,
  state: PrefixState,
  draft: Draft,
): Prefixed | null | typeof FOREIGN {
  const text = takeMonotonic(line, draft);
  if (draft.monotonic !== null) {
    const width = line.length - text.length;
    const host = text.includes(" kernel: ") ? MONOTONIC_HOST.exec(text) : null;
    if (host !== null) {
      state.monotonicHost = draft.host = host[1] ?? null;
      return finish(draft, text.slice(host[0].length), width + host[0].length);
    }
    if (state.monotonicHost !== null && text.startsWith(`${state.monotonicHost} `)) return FOREIGN;
    return finish(draft, text, width);
  }
  const relative = RELATIVE.exec(line);
  if (relative !== null) {
    if (state.relative !== null) {
      state.relative += Number(relative[1]);
      const [whole = "0", fraction = ""] = state.relative.toFixed(6).split(".");
      draft.time = parseUnix(whole, fraction);
      if (draft.time?.kind === "wall") draft.time.zoned = false;
    }
    return finish(draft, line.slice(relative[0].length), relative[0].length);
  }
  const ctime = CTIME.exec(line);
  if (ctime !== null) {
    draft.time = stamps.ctime(ctime[1] ?? "", ctime[2] ?? "", ctime[3] ?? "", ctime[4] ?? "");
    return finish(draft, line.slice(ctime[0].length), ctime[0].length);
  }
  const base = RELATIVE_BASE.exec(line);
  if (base !== null && monthOf(base[1] ?? "") >= 0) {
    draft.time = stamps.syslog(base[1] ?? "", base[2] ?? "", `${base[3] ?? ""}:00`, "");
    state.relative = draft.time?.kind === "wall" ? Date.parse(draft.time.iso) / 1000 : null;
    return finish(draft, line.slice(base[0].length), base[0].length);
  }
  const iso = ISO_BRACKET.exec(line);
  if (iso !== null) {
    draft.time = stamps.iso(iso[1] ?? "", iso[2] ?? "", iso[3] === "UTC" ? "Z" : (iso[3] ?? ""));
    const rest = line.slice(iso[0].length);
    return takeTag(rest, draft, iso[0].length) ?? finish(draft, takeMonotonic(rest, draft), iso[0].length);
  }
  const delta = DELTA_ONLY.exec(line);
  return delta === null ? null : finish(draft, line.slice(delta[0].length), delta[0].length);
}

function parseDigits(
  line: string,
  stamps: Stamps,
  state: PrefixState,
  draft: Draft,
): Prefixed | null | typeof FOREIGN {
  const iso = ISO.exec(line);
  if (iso !== null) {
    draft.time = stamps.iso(iso[1] ?? "", iso[3] ?? "", iso[4] ?? "");
    const width = iso[0].length;
    const rest = line.slice(width);
    // A comma before the fraction is `dmesg --time-format iso`: the message itself follows, tags in it are its own.
    if (iso[2] === ",") return finish(draft, rest, width);
    const tagged = takeTag(rest, draft, width);
    if (tagged !== null) return tagged;
    const nested = NESTED.exec(rest);
    return nested === null
      ? finish(draft, takeMonotonic(rest, draft), width)
      : inner(line, width + nested[0].length, stamps, state, draft);
  }
  const rfc = RFC5424.exec(line);
  if (rfc !== null) {
    if (rfc[5] !== "kernel") return FOREIGN;
    draft.time = stamps.iso(rfc[1] ?? "", rfc[2] ?? "", rfc[3] ?? "");
    draft.host = rfc[4] === "-" ? null : (rfc[4] ?? null);
    const body = line.slice(rfc[0].length).replace(/^\ufeff/, "");
    return finish(draft, unescapeSyslog(takeMonotonic(body, draft)), rfc[0].length);
  }
  const unix = UNIX.exec(line);
  if (unix === null) return null;
  draft.time = parseUnix(unix[1] ?? "", unix[2] ?? "");
  return takeTag(line.slice(unix[0].length), draft, unix[0].length);
}

function parseWords(
  line: string,
  stamps: Stamps,
  state: PrefixState,
  draft: Draft,
): Prefixed | null | typeof FOREIGN {
  // `journalctl -o cat` piped through something that kept the tag only.
  if (line.startsWith("kernel: ")) return takeTag(line, draft, 0);
  const syslog = SYSLOG.exec(line);
  if (syslog !== null) {
    const width = syslog[0].length;
    const rest = line.slice(width);
    if (!TAG.test(rest)) return FOREIGN;
    draft.time = stamps.syslog(syslog[1] ?? "", syslog[2] ?? "", syslog[3] ?? "", syslog[4] ?? "");
    return takeTag(rest, draft, width);
  }
  const full = FULL.exec(line);
  if (full !== null) {
    // The zone is a name (`UTC`, `CET`): only UTC is unambiguous.
    draft.time = stamps.iso(full[1] ?? "", full[2] ?? "", full[3] === "UTC" ? "Z" : "");
    return takeTag(line.slice(full[0].length), draft, full[0].length) ?? FOREIGN;
  }
  const logread = LOGREAD.exec(line);
  if (logread !== null) {
    draft.time = stamps.ctime(logread[1] ?? "", logread[2] ?? "", logread[3] ?? "", logread[4] ?? "");
    return takeTag(line.slice(logread[0].length), draft, logread[0].length) ?? FOREIGN;
  }
  const decoded = DECODED.exec(line);
  if (decoded === null || !FACILITIES.test(decoded[1] ?? "")) return null;
  const level = LEVELS.indexOf(decoded[2] ?? "");
  if (level < 0) return null;
  if (decoded[1] !== "kern") return FOREIGN;
  draft.level = level;
  return inner(line, decoded[0].length, stamps, state, draft);
}

/** What follows a `<6>` or `kern  :info  : `; with `--notime` that is the message itself. */
function inner(
  line: string,
  width: number,
  stamps: Stamps,
  state: PrefixState,
  draft: Draft,
): Prefixed | typeof FOREIGN {
  const rest = line.slice(width);
  const found =
    rest[0] === "["
      ? parseBracket(rest, stamps, state, draft)
      : isDigit(rest)
        ? parseDigits(rest, stamps, state, draft)
        : SYSLOG.test(rest)
          ? parseWords(rest, stamps, state, draft)
          : null;
  if (found === FOREIGN) return FOREIGN;
  if (found === null) return finish(draft, rest, width);
  return { line: found.line, width: width + found.width };
}

function isDigit(text: string): boolean {
  const code = text.charCodeAt(0);
  return code >= 48 && code <= 57;
}

/**
 * Recognises the prefix of one text line: `dmesg` in all its time formats, `journalctl` short formats, syslog files.
 * `FOREIGN` = another program's line, null = no prefix at all (a continuation, or a log without prefixes).
 */
export function parsePrefix(
  line: string,
  stamps: Stamps,
  state: PrefixState,
): Prefixed | null | typeof FOREIGN {
  const draft: Draft = { time: null, host: null, monotonic: null, level: null, caller: null };
  if (line[0] === "[") return parseBracket(line, stamps, state, draft);
  if (line[0] === "<") {
    const priority = PRIORITY.exec(line);
    if (priority === null) return null;
    // On a syslog line the facility is 0 (kern) too; anything else was not written by the kernel.
    if (Number(priority[1]) >> 3 !== 0) return FOREIGN;
    draft.level = Number(priority[1]) & 7;
    return inner(line, priority[0].length, stamps, state, draft);
  }
  if (isDigit(line)) return parseDigits(line, stamps, state, draft);
  return parseWords(line, stamps, state, draft);
}
