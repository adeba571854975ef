import type { JsonObject } from "../probe/define.ts";

/** Bytes waiting for a slow reader, beyond which event records are dropped and counted instead of filling the memory. */
const MAX_BACKLOG = 256 << 20;

export interface RecordWriter {
  /** False when the record was dropped because the reader does not keep up. */
  write(record: JsonObject): boolean;
}

/** Writes NDJSON to a stream. */
export function createRecordWriter(
  stream: NodeJS.WritableStream & { readonly writableLength: number },
): RecordWriter {
  return {
    write(record) {
      const isVital =
        record["type"] === "summary" || record["type"] === "session" || record["type"] === "ready";
      if (!isVital && stream.writableLength > MAX_BACKLOG) return false;
      stream.write(`${JSON.stringify(record)}\n`);
      return true;
    },
  };
}
