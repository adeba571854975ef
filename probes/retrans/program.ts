import { EXIT, TraceError } from "../../src/error.ts";
import { findField } from "../../src/host/format.ts";
import type { NetnsInfo } from "../../src/host/namespaces.ts";
import { hasKernelTypes } from "../../src/host/kernel-types.ts";
import type { JsonObject, PrepareContext, Prepared } from "../../src/probe/define.ts";
import { identifier, type ProgramVariables } from "../../src/probe/render.ts";
import { mappedWords, portWire } from "../../src/reduce/filter-words.ts";
import { nearest } from "../../src/text/nearest.ts";

/** Stacks kept a second per kind, reset reason and drop site: enough for shares. */
const SAMPLES = 64;

/** Fills the template for this kernel and these options. Throws TraceError (usage) for a filter that does not fit this host. */
export async function prepareRetrans(context: PrepareContext): Promise<Prepared> {
  const { options, host } = context;
  const [retransmit, synack, reset, drop] = await Promise.all(
    ["tcp:tcp_retransmit_skb", "tcp:tcp_retransmit_synack", "tcp:tcp_send_reset", "skb:kfree_skb"].map(
      (name) => context.tracepoint(name),
    ),
  );
  const types = hasKernelTypes(host);
  if (!types) refuseFilters(options);
  const has = (format: typeof drop, field: string) =>
    format !== null && format !== undefined && findField(format, field) !== null;
  const dropReasons = new Map<number, string>(drop?.symbols["reason"] ?? []);
  const netfilter = [...dropReasons].find(([, name]) => name === "NETFILTER_DROP")?.[0];
  const reasonField = has(drop, "reason") && netfilter !== undefined;
  const resetReason = has(reset, "reason");
  // From 6.12 on this event has socket addresses where the others have ports and addresses.
  const resetSockaddr = has(reset, "saddr") && !has(reset, "saddr_v6");
  const errField = has(retransmit, "err");
  const intervalMs = Math.round((typeof options["interval"] === "number" ? options["interval"] : 1) * 1000);
  const netns = await netnsVariables(context);
  const variables: ProgramVariables = {
    types,
    drops: types,
    errField,
    synack: synack !== null && synack !== undefined,
    resets: [
      { point: identifier("tcp_send_reset"), direction: 1, sent: true, sockaddr: resetSockaddr },
      { point: identifier("tcp_receive_reset"), direction: 2, sent: false, sockaddr: false },
    ],
    resetReason,
    enumPrefix: resetReason && !types,
    reasonField,
    netfilter: netfilter ?? 0,
    samples: SAMPLES,
    events: options.events === true,
    // Differences are taken at least every second: see the packing in retrans.bt.
    printMs: Math.min(1000, Math.max(100, intervalMs)),
    port: options.port !== undefined,
    portWire: options.port === undefined ? 0 : portWire(options.port),
    host: options.host !== undefined,
    ...(options.host === undefined ? {} : mappedWords(options.host)),
    ...netns,
  };
  return {
    variables,
    tables: {
      types,
      errField,
      resetReason,
      resetReasons: toTable(reset?.symbols["reason"]),
      reasonField,
      reasons: toTable(dropReasons),
      wantedNetns: typeof netns["netnsInode"] === "number" ? netns["netnsInode"] : null,
      netns: Object.fromEntries(
        (await context.listNetns()).map((info) => [String(info.inode), describeNetns(info)]),
      ),
    },
    degraded: types
      ? []
      : [
          "no kernel types (BTF) with this bpftrace: no namespaces, kinds and causes; segments only by the kernel's own count",
        ],
  };
}

function toTable(symbols: ReadonlyMap<number, string> | undefined): JsonObject {
  return Object.fromEntries([...(symbols ?? [])].map(([number, name]) => [String(number), name]));
}

function describeNetns({ name, kind, path, pid, comm }: NetnsInfo): JsonObject {
  return { name, kind, path, pid, comm };
}

/** Without types the program sees no namespaces and owners: a filter on them would hide everything silently. */
function refuseFilters(options: PrepareContext["options"]): void {
  const used = (["pid", "comm", "netns"] as const).find((name) => options[name] !== undefined);
  if (used === undefined) return;
  throw new TraceError(EXIT.usage, `--${used} cannot be used with this bpftrace and kernel`, {
    why: "there is no type information (BTF) for it, so sockets cannot be looked into",
    hint: "trace doctor   # a newer bpftrace or kernel is needed",
  });
}

async function netnsVariables({ options, findNetns, listNetns }: PrepareContext): Promise<ProgramVariables> {
  if (options.netns === undefined) return { netns: false };
  const info = await findNetns(options.netns);
  if (info !== null) return { netns: true, netnsInode: info.inode };
  const names = (await listNetns()).flatMap((known) => known.name ?? []);
  const close = nearest(options.netns, names);
  throw new TraceError(
    EXIT.usage,
    `--netns: there is no network namespace ${JSON.stringify(options.netns)}`,
    {
      why: `${close.length > 0 ? "the nearest" : "known here"}: ${(close.length > 0 ? close : names.slice(0, 8)).join(", ") || "none has a name"}`,
      hint: "ip netns list; lsns -t net",
    },
  );
}
