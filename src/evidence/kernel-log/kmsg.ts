import type { KernelLine } from "./line.ts";

/**
 * One record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg): `prio,seq,usec,flags[,caller=T1];text`, then
 * continuation lines ` KEY=value`. Control characters, bytes ≥ 0x7f and the backslash arrive as `\xNN`.
 */
export interface KmsgRecord extends KernelLine {
  sequence: number;
  /** syslog facility; 0 is the kernel, anything else was written into the ring buffer by a program. */
  facility: number;
}

const HEAD = /^(\d{1,6}),(\d{1,20}),(\d{1,20}),([^;]*);/;

/** Undoes `\xNN`; the bytes of a run are decoded as UTF-8, what is none becomes U+FFFD. */
export function unescapeKmsg(text: string): string {
  if (!text.includes("\\x")) return text;
  return text.replace(/(?:\\x[0-9a-fA-F]{2})+/g, (run) =>
    Buffer.from(run.replaceAll("\\x", ""), "hex").toString(),
  );
}

/**
 * Reads one record (one read() of /dev/kmsg, or the lines of it in a saved copy).
 * Returns null for text that is no such record.
 */
export function parseKmsgRecord(record: string): KmsgRecord | null {
  const head = HEAD.exec(record);
  if (head === null) return null;
  const body = record.slice(head[0].length);
  const end = body.indexOf("\n");
  const priority = Number(head[1]);
  const seconds = Number(head[3]) / 1e6;
  const caller = /caller=([TC]\d+)/.exec(head[4] ?? "")?.[1];
  return {
    time: { kind: "monotonic", seconds },
    monotonic: seconds,
    host: null,
    text: unescapeKmsg(end < 0 ? body : body.slice(0, end)),
    level: priority & 7,
    sequence: Number(head[2]),
    facility: priority >> 3,
    ...(caller === undefined ? {} : { caller }),
  };
}
