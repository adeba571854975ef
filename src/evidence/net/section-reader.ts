import type { RawNet } from "./collect/raw.ts";
import type { Parsed } from "./parse/values.ts";
import type { Missing, Unread } from "./types.ts";

/** Hands the sections of a namespace to parsers and keeps book of what is missing or could not be read. */
export type SectionReader = {
  /** The parsed section; where it is missing or failed, null and an entry in `missing`. */
  read<T>(name: string, parse: (text: string) => Parsed<T>): T | null;
  /** The same without an entry when there is no such section: its absence says nothing. */
  readOptional<T>(name: string, parse: (text: string) => Parsed<T>): T | null;
  /** The same where also a part is worth having: `complete` is false when it failed or was cut off on the way. */
  readPartly<T>(
    name: string,
    parse: (text: string) => Parsed<T>,
  ): { readonly value: T; readonly complete: boolean } | null;
  /** Names of the sections that start with a prefix. */
  names(prefix: string): readonly string[];
  has(name: string): boolean;
  /** `why` by default: it is not there, or was not reached. */
  miss(what: string, why?: string): void;
  /** Items of a section that its parser's caller could not use. */
  misread(what: string, count: number): void;
  readonly missing: readonly Missing[];
  readonly unread: readonly Unread[];
};

/** `quiet`: say nothing of what is missing, because the namespace as a whole was not read. */
export function makeSectionReader(raw: RawNet, quiet = false): SectionReader {
  const missing: Missing[] = [...raw.skipped];
  const unread: Unread[] = [];
  // One that got stuck keeps the script from all that follows it.
  const [stuck] = Object.entries(raw.sections).find(([, section]) => section.status === null) ?? [];
  const absence = stuck === undefined ? "not there" : `not asked, because ${stuck} did not end`;
  const miss = (what: string, why = absence): void => {
    if (!quiet) missing.push({ what, why });
  };
  const readOptional = <T>(name: string, parse: (text: string) => Parsed<T>): T | null => {
    const section = Object.hasOwn(raw.sections, name) ? raw.sections[name] : undefined;
    if (section === undefined) return null;
    if (section.status !== 0) {
      // 127: the shell found no such command.
      miss(
        name,
        section.status === 127 ? "not installed" : section.message || `exit status ${section.status}`,
      );
      return null;
    }
    const parsed = parse(section.text);
    if (parsed.unread > 0) unread.push({ what: name, count: parsed.unread });
    return parsed.value;
  };
  return {
    readPartly: (name, parse) => {
      const value = readOptional(name, parse);
      if (value !== null) return { value, complete: true };
      const text = Object.hasOwn(raw.sections, name) ? (raw.sections[name]?.text ?? "") : "";
      if (text.trim() === "") return null;
      // What is unread of it is what was cut off: that is said already.
      return { value: parse(text).value, complete: false };
    },
    read: (name, parse) => {
      if (!Object.hasOwn(raw.sections, name)) miss(name);
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
