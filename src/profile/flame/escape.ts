import { escapeText } from "../../text/escape.ts";

const NAMED: Record<string, string | undefined> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Text as it can stand in XML and HTML, in an element or an attribute. Names come from traced programs: what would
 * turn text around becomes visible, and what is no character in XML (lone surrogates, for one) U+FFFD.
 */
export function escapeMarkup(text: string): string {
  return escapeText(text)
    .toWellFormed()
    .replaceAll(/[\ufffe\uffff]/g, "\ufffd")
    .replaceAll(/[&<>"']/g, (character) => NAMED[character] ?? "");
}
