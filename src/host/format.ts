import { parseSymbolTables, type SymbolTables } from "./format-symbols.ts";

/** A field of a tracepoint, as its format file declares it. Offset and size are bytes in the raw record. */
export interface TracepointField {
  readonly name: string;
  /** C type without the array part: `unsigned short`, `enum skb_drop_reason`, `__u8`, `char`. */
  readonly type: string;
  readonly offset: number;
  readonly size: number;
  readonly signed: boolean;
  /** `__data_loc` / `__rel_loc`: the record holds an offset and a length; bpftrace reads it with `str()`. */
  readonly isDataLoc: boolean;
  readonly isArray: boolean;
  /** The header all tracepoints have (`common_pid` …): not an argument. */
  readonly isCommon: boolean;
}

/** What a running kernel says about one tracepoint. */
export interface TracepointFormat extends SymbolTables {
  readonly name: string;
  readonly id: number | null;
  readonly fields: readonly TracepointField[];
  /** Field lines and table entries that could not be read. */
  readonly malformed: number;
}

const FIELD = /^field:(.+?);\s*offset:(\d{1,9});\s*size:(\d{1,9});(?:\s*signed:([01]);)?\s*$/;
const DECLARATION = /^(.*?)([A-Za-z_]\w*)\s*(\[[^\]]*\])?$/;

/**
 * Parses `events/<category>/<event>/format` (linux kernel, Documentation/trace/events.rst). Never throws: what cannot
 * be read is counted in `malformed`. A text without any field gives a format without fields.
 */
export function parseFormat(text: string): TracepointFormat {
  let name = "";
  let id: number | null = null;
  let printFormat = "";
  let malformed = 0;
  const fields: TracepointField[] = [];
  for (const line of text.split("\n")) {
    const content = line.trim();
    if (content.startsWith("field:")) {
      const field = parseField(content);
      if (field === null) malformed += 1;
      else fields.push(field);
    } else if (content.startsWith("name:")) name = content.slice(5).trim();
    else if (/^ID: *\d{1,9}$/.test(content)) id = Number(content.slice(3));
    else if (content.startsWith("print fmt:")) printFormat = content.slice(10);
  }
  const { symbols, flagFields, malformed: bad } = parseSymbolTables(printFormat);
  return { name, id, fields, symbols, flagFields, malformed: malformed + bad };
}

function parseField(line: string): TracepointField | null {
  const [, declared = "", offset, size, signed] = FIELD.exec(line) ?? [];
  // Function pointers (`void (*function)(struct timer_list *)`) have their name inside.
  const pointer = /\(\*\s*([A-Za-z_]\w*)\)/.exec(declared);
  const [, before = "", name, brackets] = DECLARATION.exec(declared) ?? [];
  const fieldName = pointer?.[1] ?? name;
  if (fieldName === undefined) return null;
  const location = /^__(?:data|rel)_loc\s+/.exec(before);
  // `__data_loc char[] comm`: the array part stands with the type.
  const type = (pointer === null ? before.slice(location?.[0].length ?? 0) : declared).trim();
  const isArray = brackets !== undefined || type.endsWith("[]");
  return {
    name: fieldName,
    type: type.replace(/\s*\[\]$/, ""),
    offset: Number(offset),
    size: Number(size),
    signed: signed === "1",
    isDataLoc: location !== null,
    isArray,
    isCommon: fieldName.startsWith("common_"),
  };
}

/** The field of that name, or null. */
export function findField(format: TracepointFormat | null, name: string): TracepointField | null {
  return format?.fields.find((field) => field.name === name) ?? null;
}
