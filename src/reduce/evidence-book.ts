import type { Owner } from "../diagnose/facts.ts";
import { createNetworkLog, type NetworkLog } from "../evidence/kernel-log/network.ts";
import { deltaNets } from "../evidence/net/delta.ts";
import { isRawNet, parseNet, type RawNet } from "../evidence/net/snapshot.ts";
import type { NetDelta } from "../evidence/net/types.ts";
import type { Fact, RunContext } from "../probe/define.ts";

/** Collects what the host says of itself at both ends of the run, and who holds which socket. */
export interface EvidenceBook {
  fact(fact: Fact): void;
  /** Asks who holds a socket; 0 is nobody's. */
  wantOwner(socket: number): void;
  /** What changed; empty until the second snapshot is there. */
  networks(): readonly NetDelta[];
  /** Process that holds a socket, by socket inode. */
  owners(): ReadonlyMap<number, Owner>;
  /** What the kernel logged of lost packets, where the probe follows the log. */
  readonly log: NetworkLog;
}

/** The name of a process that ended before it could be asked for. */
export const UNKNOWN_NAME = "?";

/** `wanted`: inodes of the sockets whose process is looked up as soon as it is known what changed. */
export function createEvidenceBook(
  ask: RunContext["ask"],
  wanted: (network: NetDelta) => readonly (number | null)[] = heldSockets,
): EvidenceBook {
  const ends: { before: RawNet[] | null; after: RawNet[] } = { before: null, after: [] };
  const owners = new Map<number, Owner>();
  const log = createNetworkLog();
  let deltas: readonly NetDelta[] = [];
  const wantOwner = (socket: number) => {
    if (socket > 0 && !owners.has(socket)) ask({ fact: "owner", key: String(socket) });
  };
  return {
    log,
    fact({ fact, key, value }) {
      if (fact === "kernel-log") log.read(key, value);
      if (fact === "owner") {
        const owner = readOwner(value);
        if (owner !== null) owners.set(Number(key), owner);
      }
      if (fact !== "network" || (key !== "before" && key !== "after")) return;
      ends[key] = Array.isArray(value) ? value.filter(isRawNet) : [];
      if (key === "before") return;
      deltas = deltaNets(ends.before?.map(parseNet) ?? null, ends.after.map(parseNet));
      for (const inode of deltas.flatMap(wanted)) if (inode !== null) wantOwner(inode);
    },
    wantOwner,
    networks: () => deltas,
    owners: () => owners,
  };
}

/** Listeners, and datagram sockets that refused something: findings name their process. */
export function heldSockets({ listeners, datagramSockets }: NetDelta): (number | null)[] {
  return [...listeners, ...datagramSockets].map(({ inode }) => inode);
}

function readOwner(value: unknown): Owner | null {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const { pid, comm } = value as { pid?: unknown; comm?: unknown };
  return typeof pid === "number" ? { pid, comm: typeof comm === "string" ? comm : UNKNOWN_NAME } : null;
}
