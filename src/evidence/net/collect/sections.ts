import { randomBytes } from "node:crypto";
import type { RawSection } from "./raw.ts";

/** A word that no traced text can hold by chance or by guess: it marks the sections of a script's output. */
export function makeNonce(): string {
  return randomBytes(16).toString("hex");
}

/**
 * Shell functions for the fixed scripts. `mark NAME` starts a section on stdout and on stderr; `end STATUS` ends it.
 * `$nonce` is the script's first argument. Nothing from outside is ever put into a script's text.
 */
export const SHELL_FUNCTIONS = `
nonce=$1
mark() { printf '\\n\\036%s %s\\n' "$nonce" "$1"; printf '\\n\\036%s %s\\n' "$nonce" "$1" >&2; }
end() { printf '\\n\\036%s = %d\\n' "$nonce" "$1"; }
`;

/** Sections by name. One that has no `end` was cut off: its status is null. */
export function splitSections(stdout: string, stderr: string, nonce: string): Map<string, RawSection> {
  const messages = new Map(split(stderr, nonce).map(([name, text]) => [name, lastLine(text)]));
  const sections = new Map<string, RawSection>();
  let current: string | null = null;
  for (const [name, text] of split(stdout, nonce)) {
    const status = /^= (\d+)$/.exec(name)?.[1];
    const section = current === null ? undefined : sections.get(current);
    if (status === undefined) {
      current = name;
      sections.set(name, { text, status: null, message: messages.get(name) ?? "" });
    } else if (current !== null && section !== undefined) {
      sections.set(current, { ...section, status: Number(status) });
    }
  }
  return sections;
}

function split(text: string, nonce: string): [string, string][] {
  return text
    .split(`\n\u001e${nonce} `)
    .slice(1)
    .map((piece) => {
      const newline = piece.indexOf("\n");
      return newline < 0 ? [piece, ""] : [piece.slice(0, newline), piece.slice(newline + 1)];
    });
}

/** Last line of what a tool complained, cut to a length that fits a notice. */
export function lastLine(text: string): string {
  return (text.trim().split("\n").at(-1) ?? "").slice(0, 300);
}

/** Parts the output of `grep -H '' FILE…` (`PATH:LINE`) by file. Paths in /proc/net and /proc/sys/net hold no colon. */
export function splitByFile(text: string): Map<string, string> {
  const lines = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const path = line.slice(0, colon);
    const list = lines.get(path);
    if (list === undefined) lines.set(path, [line.slice(colon + 1)]);
    else list.push(line.slice(colon + 1));
  }
  return new Map([...lines].map(([path, list]) => [path, list.join("\n")]));
}

/** The parts that start with a section `netns INDEX`, in order, without that section's own text. */
export function splitVisits(text: string, nonce: string): string[] {
  return text.split(new RegExp(`\\n\\u001e${nonce} netns \\d+\\n`)).slice(1);
}
