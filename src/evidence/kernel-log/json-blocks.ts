import { FOREIGN, lineFromJournal } from "./journal.ts";
import { type KernelLine, MAX_LINE } from "./line.ts";

/** Reads JSON that is spread over lines: `dmesg -J` and `journalctl -o json-pretty`. */
export interface JsonBlocks {
  /** The records that `line` completes; null when the line is no JSON after all (it is then still unread). */
  push(line: string): (KernelLine | null | typeof FOREIGN)[] | null;
  /** False once the outermost brace is closed. */
  readonly open: boolean;
}

const PAIR = /^\s*"([A-Za-z_0-9]+)"\s*:\s*(.*?),?\s*$/;

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** `dmesg -J`: {"pri": 6, "time": 1.28, "msg": "…"}; with -x: {"fac": "kern", "pri": "info", …}. */
function lineFromDmesg(fields: ReadonlyMap<string, unknown>): KernelLine | null | typeof FOREIGN {
  const text = fields.get("msg");
  if (typeof text !== "string") return null;
  const facility = fields.get("fac");
  const priority = fields.get("pri");
  if (typeof facility === "string" ? facility !== "kern" : typeof priority === "number" && priority >= 8)
    return FOREIGN;
  const seconds = Number(fields.get("time") ?? Number.NaN);
  const caller = fields.get("caller");
  return {
    time: Number.isFinite(seconds) ? { kind: "monotonic", seconds } : null,
    host: null,
    text,
    ...(Number.isFinite(seconds) ? { monotonic: seconds } : {}),
    ...(typeof priority === "number" ? { level: priority } : {}),
    ...(typeof caller === "string" ? { caller: caller.trim() } : {}),
  };
}

/** A reader for one multi-line JSON document, fed from its opening `{` on. Fields are read line by line: bounded. */
export function createJsonBlocks(): JsonBlocks {
  let isDmesg = false;
  let open = true;
  let size = 0;
  let list: { key: string; text: string } | null = null;
  const fields = new Map<string, unknown>();

  const set = (key: string, text: string): void => {
    size += key.length + text.length;
    if (size <= 4 * MAX_LINE) fields.set(key, parseValue(text));
  };
  const take = (): KernelLine | null | typeof FOREIGN => {
    const record = isDmesg ? lineFromDmesg(fields) : lineFromJournal(Object.fromEntries(fields));
    fields.clear();
    size = 0;
    return record;
  };
  return {
    get open() {
      return open;
    },
    push(line) {
      // A byte array of json-pretty: one number a line.
      if (list !== null) {
        if (list.text.length < 4 * MAX_LINE) list.text += line.trim();
        if (line.trim().startsWith("]")) {
          set(list.key, list.text.replace(/,$/, ""));
          list = null;
        }
        return [];
      }
      const pair = PAIR.exec(line);
      if (pair !== null) {
        const [, key = "", value = ""] = pair;
        if (key === "dmesg" && value === "[") isDmesg = true;
        else if (value === "[") list = { key, text: "[" };
        else set(key, value);
        return [];
      }
      const trimmed = line.trim();
      if (trimmed === "{") return [];
      if (trimmed === "]") return [];
      if (trimmed.startsWith("}")) {
        open = isDmesg && line !== "}";
        return fields.size > 0 ? [take()] : [];
      }
      return null;
    },
  };
}
