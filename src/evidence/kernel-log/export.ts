import { type FOREIGN, lineFromJournal } from "./journal.ts";
import { type KernelLine, MAX_LINE } from "./line.ts";

/** Reads `journalctl -o export`, fed line by line from the first `__CURSOR=` on. */
export interface ExportReader {
  /** The entry that a blank line ends, else undefined. */
  push(line: string): KernelLine | null | typeof FOREIGN | undefined;
  /** The entry under way at the end of the stream. */
  end(): KernelLine | null | typeof FOREIGN | undefined;
}

const FIELD = /^([A-Z_][A-Z0-9_]*)=/;
const NAME = /^[A-Z_][A-Z0-9_]*$/;
/** A field with newlines is `NAME\n`, its length as 8 bytes, then the data (systemd's Journal Export Format). */
const LENGTH_BYTES = 8;

/**
 * A reader for one stream. A binary field ends at the next `NAME=` line; its length bytes are skipped, not trusted
 * (as text they may be damaged, and one of them can be a newline).
 */
export function createExportReader(): ExportReader {
  let fields: Record<string, string> = {};
  let binary: { name: string; data: string | null } | null = null;
  let size = 0;

  const close = (): void => {
    if (binary !== null && binary.data !== null) fields[binary.name] = binary.data.slice(LENGTH_BYTES);
    binary = null;
  };
  const take = (): KernelLine | null | typeof FOREIGN | undefined => {
    close();
    const entry = fields;
    fields = {};
    size = 0;
    return Object.keys(entry).length === 0 ? undefined : lineFromJournal(entry);
  };
  return {
    push(line) {
      // An empty line right after the name of a binary field is a length byte of 10.
      if (line === "" && (binary === null || binary.data !== null)) return take();
      size += line.length;
      if (size > 4 * MAX_LINE) return undefined;
      const field = FIELD.exec(line);
      if (field !== null) {
        close();
        fields[field[1] ?? ""] = line.slice(field[0].length);
      } else if (binary !== null) {
        binary.data = binary.data === null ? line : `${binary.data}\n${line}`;
      } else if (NAME.test(line)) {
        binary = { name: line, data: null };
      }
      return undefined;
    },
    end: take,
  };
}
