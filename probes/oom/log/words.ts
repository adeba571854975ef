import { escapeText, quoteShell } from "../../../src/text/escape.ts";
import { formatBytes } from "../../../src/text/format.ts";

/** A name from the log inside a sentence: one line, no escapes that a terminal would obey. */
export function sayName(name: string | null): string {
  if (name === null) return "an unknown process";
  return name === "" ? '""' : escapeText(name);
}

/** "perl (474)". */
export function sayProcess(comm: string | null, pid: number | null): string {
  return pid === null ? sayName(comm) : `${sayName(comm)} (${String(pid)})`;
}

/** Bytes for a reader, "?" where unknown. */
export function sayBytes(bytes: number | null): string {
  return bytes === null ? "?" : formatBytes(bytes);
}

/** "1st", "12th". */
export function ordinal(count: number): string {
  const tail = count % 100;
  if (tail >= 11 && tail <= 13) return `${String(count)}th`;
  return `${String(count)}${["th", "st", "nd", "rd"][count % 10] ?? "th"}`;
}

/** Share in percent, whole. */
export function sayShare(part: number, whole: number): string {
  return whole <= 0 ? "?" : `${String(Math.round((100 * part) / whole))} %`;
}

/** A word of a command to paste; control characters, which would reach the terminal, as $'\xNN'. */
export function shellWord(word: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what has to go
  if (!/[\u0000-\u001f\u007f]/.test(word)) return quoteShell(word);
  const inner = word
    .replaceAll("\\", "\\\\")
    .replaceAll("'", "\\'")
    // oxlint-disable-next-line no-control-regex -- see above
    .replace(/[\u0000-\u001f\u007f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `$'${inner}'`;
}

const MIB = 1024 ** 2;

/** Bytes as the suffixed size that systemd, docker and cgroup files all read: whole MiB, "640M". */
export function sizeWord(bytes: number): string {
  return `${String(Math.ceil(bytes / MIB))}M`;
}

/** Up to a round figure: 16 MiB steps below 1 GiB, 128 MiB below 16 GiB, then 1 GiB. */
export function roundUpSize(bytes: number): number {
  const step = bytes < 1024 * MIB ? 16 * MIB : bytes < 16_384 * MIB ? 128 * MIB : 1024 * MIB;
  return Math.ceil(bytes / step) * step;
}
