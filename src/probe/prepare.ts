import type { HostFacts } from "../host/facts.ts";
import { findDevice } from "../evidence/devices.ts";
import { createNetnsDirectory, type NetnsDirectory, type NetnsInfo } from "../host/namespaces.ts";
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
    async findDevice(name, only) {
      await look();
      const places = only === null ? netns.list() : [only];
      const isOwn = (place: NetnsInfo) => place.kind === "host";
      const paths = places.map((place) => (isOwn(place) ? null : (place.path ?? "/nowhere")));
      // Our own first: most devices that somebody asks for are there, and it costs the least.
      return findDevice(name, [
        ...paths.filter((path) => path === null),
        ...paths.filter((path) => path !== null),
      ]);
    },
  });
  const script = renderProgram(template, prepared.variables);
  const degraded = [...(lacks === null ? [] : [lacks]), ...(prepared.degraded ?? [])];
  return { ...prepared, script, degraded, netns };
}
