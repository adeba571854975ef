import type { HostFacts } from "../host/facts.ts";
import { createNetnsDirectory, type NetnsDirectory } from "../host/namespaces.ts";
import { readTracepoint } from "../host/tracefs.ts";
import { requireAttach } from "./attach.ts";
import type { Options, Prepared, ProbeDefinition } from "./define.ts";
import { renderProgram } from "./render.ts";

export interface Program extends Prepared {
  /** What bpftrace gets, without the ready signal. */
  readonly script: string;
  readonly degraded: readonly string[];
  readonly netns: NetnsDirectory;
}

/** Probe + options + host → program, from the text of its template. Throws TraceError when the host cannot run it or an option does not fit it. */
export async function prepareProgram(
  definition: ProbeDefinition,
  template: string,
  host: HostFacts,
  options: Options,
): Promise<Program> {
  const { alternative, lacks } = await requireAttach(definition, host);
  const netns = createNetnsDirectory();
  let isFresh = false;
  const look = async () => {
    if (!isFresh) await netns.refresh();
    isFresh = true;
  };
  const prepared = await definition.prepare({
    host,
    options,
    alternative,
    tracepoint: (name) => readTracepoint(host, name),
    async findNetns(text) {
      await look();
      return netns.resolve(text);
    },
    async listNetns() {
      await look();
      return netns.list();
    },
  });
  const script = renderProgram(template, prepared.variables);
  const degraded = [...(lacks === null ? [] : [lacks]), ...(prepared.degraded ?? [])];
  return { ...prepared, script, degraded, netns };
}
