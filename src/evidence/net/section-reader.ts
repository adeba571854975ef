import type { RawNet } from "./collect/raw.ts";
import type { Parsed } from "./parse/values.ts";
import type { Missing, Unread } from "./types.ts";

/** Hands the sections of a namespace to parsers and keeps book of what is missing or could not be read. */
export type SectionReader = {
  /** The parsed section; where it is missing or failed, null and an entry in `missing`. */
  read<T>(name: string, parse: (text: string) => Parsed<T>): T | null;
  /** The same without an entry when there is no such section: its absence says nothing. */
  readOptional<T>(name: string, parse: (text: string) => Parsed<T>): T | null;
  /** Names of the sections that start with a prefix. */
  names(prefix: string): readonly string[];
  has(name: string): boolean;
  miss(what: string, why: string): void;
  /** Items of a section that its parser's caller could not use. */
  misread(what: string, count: number): void;
  readonly missing: readonly Missing[];
  readonly unread: readonly Unread[];
};

/** `quiet`: say nothing of what is missing, because the namespace as a whole was not read. */
export function makeSectionReader(raw: RawNet, quiet = false): SectionReader {
  const missing: Missing[] = [...raw.skipped];
  const unread: Unread[] = [];
  const miss = (what: string, why: string): void => {
    if (!quiet) missing.push({ what, why });
  };
  const readOptional = <T>(name: string, parse: (text: string) => Parsed<T>): T | null => {
    const section = Object.hasOwn(raw.sections, name) ? raw.sections[name] : undefined;
    if (section === undefined) return null;
    if (section.status !== 0) {
      // 127: the shell found no such command.
      miss(name, section.status === 127 ? "not installed" : section.message || `exit status ${section.status}`);
      return null;
    }
    const parsed = parse(section.text);
    if (parsed.unread > 0) unread.push({ what: name, count: parsed.unread });
    return parsed.value;
  };
  return {
    read: (name, parse) => {
      if (!Object.hasOwn(raw.sections, name)) miss(name, "not there");
      return readOptional(name, parse);
    },
    readOptional,
    names: (prefix) => Object.keys(raw.sections).filter((name) => name.startsWith(prefix)),
    has: (name) => Object.hasOwn(raw.sections, name),
    miss,
    misread: (what, count) => {
      unread.push({ what, count });
    },
    missing,
    unread,
  };
}
