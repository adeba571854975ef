import { quoteShell } from "../text/escape.ts";
import { netnsPrefix } from "./commands.ts";
import type { Place } from "./facts.ts";

/** What a catalogue's commands can ask for; null where it is not known. */
export interface TemplateValues {
  readonly place: Place | null;
  readonly dev: string | null;
  readonly port: number | null;
  readonly source: string | null;
  readonly destination: string | null;
}

/**
 * Commands of a catalogue (`{ns}ip -s link show dev {dev}`) made complete. A line that asks for something unknown is left
 * out: every entry of the catalogues has a check without such values. Advice (`# …`) keeps its words.
 */
export function fillTemplates(templates: readonly string[], values: TemplateValues): string[] {
  const { place, dev, port, source, destination } = values;
  const words: Readonly<Record<string, string | null>> = {
    ns: netnsPrefix(place),
    dev: dev === null ? null : quoteShell(dev),
    port: port === null ? null : String(port),
    source: source === null ? null : quoteShell(source),
    destination: destination === null ? null : quoteShell(destination),
  };
  return templates.flatMap((template) => {
    let isKnown = true;
    const line = template.replaceAll(/\{(ns|dev|port|source|destination)\}/g, (_, name: string) => {
      const word = words[name] ?? null;
      if (word === null) isKnown = false;
      return word ?? "";
    });
    return isKnown ? [line] : [];
  });
}
