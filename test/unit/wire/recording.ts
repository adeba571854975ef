import { readFileSync } from "node:fs";
import { createDecoder } from "../../../src/wire/decode.ts";
import type { Message } from "../../../src/wire/message.ts";
import { parseBpftraceVersion } from "../../../src/wire/version.ts";

/** The versions there are recordings of, see fixtures/wire/README.md. */
export const VERSIONS = ["0.11.3", "0.17.0", "0.23.2", "0.27.0"] as const;
export type Recorded = (typeof VERSIONS)[number];

const folder = new URL("../../../fixtures/wire/", import.meta.url);

/** Lines of a recording, as bytes, without their newlines. */
export function readLines(version: Recorded, file: string): Buffer[] {
  const bytes = readFileSync(new URL(`${version}/${file}`, folder));
  const lines: Buffer[] = [];
  let start = 0;
  for (;;) {
    const newline = bytes.indexOf(0x0a, start);
    if (newline < 0) break;
    lines.push(bytes.subarray(start, newline));
    start = newline + 1;
  }
  lines.push(bytes.subarray(start));
  return lines;
}

/** Every message of `NAME.out`. */
export function decodeRecording(version: Recorded, name: string, as: string | null = version): Message[] {
  const decoder = createDecoder(as === null ? null : parseBpftraceVersion(as));
  return readLines(version, `${name}.out`).flatMap((line) => decoder.decode(line));
}

/** Messages of one kind. */
export function ofKind<K extends Message["kind"]>(
  messages: readonly Message[],
  kind: K,
): Extract<Message, { kind: K }>[] {
  return messages.filter((message): message is Extract<Message, { kind: K }> => message.kind === kind);
}

/** The entries of the map `name`, as pairs. */
export function entriesOf(messages: readonly Message[], name: string): [string | null, unknown][] {
  return ofKind(messages, "map")
    .filter((message) => message.name === name)
    .flatMap((message) => message.entries.map(({ key, value }): [string | null, unknown] => [key, value]));
}

/** Decodes lines written here, as a bpftrace of that version would have printed them. */
export function decodeLines(version: string | null, ...lines: (string | Buffer)[]): Message[] {
  const decoder = createDecoder(version === null ? null : parseBpftraceVersion(version));
  return lines.flatMap((line) => decoder.decode(line));
}
