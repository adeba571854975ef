import type { Qdisc } from "../../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../../text/escape.ts";
import type { Queue } from "./verdict.ts";

/** Ethernet header that queues count and IP does not. */
export const LINK_HEADER = 14;
/** What is offered now, and a quarter to spare. */
export const SPARE = 1.25;

/** `root handle 1:`, `parent 1:1 handle 10:`. */
function placeOf({ parent, handle }: Qdisc): string {
  const where = parent === "root" ? "root" : `parent ${quoteShell(parent)}`;
  return handle === "0:" ? where : `${where} handle ${quoteShell(handle)}`;
}

export function change(qdisc: Qdisc, settings: string): string {
  // A default queue (handle 0:) cannot be changed, only replaced.
  const verb = qdisc.handle === "0:" ? "replace" : "change";
  return `tc qdisc ${verb} dev ${quoteShell(qdisc.dev)} ${placeOf(qdisc)} ${quoteShell(qdisc.kind)} ${settings}`;
}

export function remove({ dev, parent }: Qdisc): string {
  return `tc qdisc del dev ${quoteShell(dev)} ${parent === "root" ? "root" : `parent ${quoteShell(parent)}`}`;
}

/** What tc writes after a size, with `-d` even in JSON: `16Kb/1` (iproute2, tc/tc_util.c, print_size; the cell size after the slash). */
const SIZE = /^(\d+(?:\.\d+)?)([KM])b(?:\/\d+)?$/;

export function numberOf(qdisc: Qdisc, ...names: readonly string[]): number | null {
  for (const name of names) {
    const text = qdisc.options[name] ?? "";
    const [, digits, unit] = SIZE.exec(text) ?? [];
    const value = Number.parseFloat(digits ?? text) * (unit === "K" ? 1024 : unit === "M" ? 1024 ** 2 : 1);
    if (Number.isFinite(value)) return value;
  }
  return null;
}

/** `1 Mbit/s` of bytes a second. */
export function tellRate(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  if (bits >= 1e9) return `${Number((bits / 1e9).toPrecision(3))} Gbit/s`;
  if (bits >= 1e6) return `${Number((bits / 1e6).toPrecision(3))} Mbit/s`;
  return `${Number((bits / 1e3).toPrecision(3))} kbit/s`;
}

/** Rounded up to two digits: `rate 1300kbit`. */
export function rateWord(bytesPerSecond: number): string {
  const kilobits = Math.max(1, (bytesPerSecond * 8) / 1000);
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(kilobits)) - 1);
  return `${Math.ceil(kilobits / unit) * unit}kbit`;
}

/** Bytes a second that were offered: sent and lost. Null when the size of packets is not known. */
export function offered({ lost, sent, size, seconds }: Queue): number | null {
  return size === null ? null : ((lost + sent) * (size + LINK_HEADER)) / Math.max(1, seconds);
}
