import { type FOREIGN, lineFromJournal } from "./journal.ts";
import { type KernelLine, MAX_LINE } from "./line.ts";

/** Reads `journalctl -o verbose`: a line with the time and the cursor, then `    FIELD=value`. */
export interface VerboseReader {
  /** The entry before the one that `line` opens, else undefined; null where `line` is no part of this format. */
  push(line: string): VerboseResult;
  end(): VerboseResult;
}
export type VerboseResult = { entry: KernelLine | null | typeof FOREIGN } | undefined | null;

const HEAD = /^\S+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{6}) (\S+) \[s=[0-9a-f]{32};i=/;
const FIELD = /^ {4}([A-Z_][A-Z0-9_]*)=/;
const INDENT = 4;

/** Whether the line opens an entry of this format. */
export function isVerboseHead(line: string): boolean {
  return HEAD.test(line);
}

export function createVerboseReader(): VerboseReader {
  let fields = new Map<string, string>();
  let last: string | null = null;
  let size = 0;

  const take = (): VerboseResult => {
    const entry = fields;
    fields = new Map();
    last = null;
    size = 0;
    return entry.size === 0 ? undefined : { entry: lineFromJournal(Object.fromEntries(entry)) };
  };
  return {
    push(line) {
      const head = HEAD.exec(line);
      if (head !== null) {
        const before = take();
        // Only UTC is an unambiguous zone name; else the monotonic time has to do.
        const ms = head[3] === "UTC" ? Date.parse(`${(head[1] ?? "").replace(" ", "T")}Z`) : Number.NaN;
        if (Number.isFinite(ms)) fields.set("__REALTIME_TIMESTAMP", `${String(ms / 1000)}${head[2] ?? ""}`);
        return before;
      }
      if (!line.startsWith("    ")) return line === "" ? undefined : null;
      size += line.length;
      if (size > 4 * MAX_LINE) return undefined;
      const field = FIELD.exec(line);
      if (field !== null) {
        last = field[1] ?? "";
        fields.set(last, line.slice(field[0].length));
      } else if (last !== null) {
        // Further lines of a value are indented to where it began.
        const value = line.slice(INDENT + last.length + 1);
        fields.set(last, `${fields.get(last) ?? ""}\n${value}`);
      }
      return undefined;
    },
    end: take,
  };
}
