import type { Owner } from "../../src/diagnose/facts.ts";
import { UNKNOWN_NAME, type EvidenceBook } from "../../src/reduce/evidence-book.ts";
import { readWords } from "../../src/reduce/words.ts";
import type { Flow } from "./flow.ts";

/** Whose a connection is: by the inode of its socket, else by what the program saw of who closed it. */
export interface OwnerBook {
  /** A process held the socket's lock when the program looked; 0: none did. */
  sawPid(flow: Flow, pid: number): void;
  /** A connection that was reset under this number, and is still to be closed. */
  sawReset(flow: Flow, number: bigint): void;
  /** Reads a `P` or `O` record of retrans.bt; false when the text is none. */
  read(text: string): boolean;
  find(flow: Flow, inode: number): Owner | null;
}

export function createOwnerBook(evidence: EvidenceBook): OwnerBook {
  const names = new Map<number, string>();
  const pids = new Map<string, number>();
  /** Flow ids of connections that wait for their end, by number. */
  const waiting = new Map<bigint, string>();
  return {
    sawPid(flow, pid) {
      if (pid !== 0) pids.set(flow.id, pid);
    },
    sawReset(flow, number) {
      waiting.set(number, flow.id);
    },
    read(text) {
      const [tag, ...parts] = text.split("\t");
      const head = tag === "P" ? 1 : 2;
      const words = readWords(parts.slice(0, head).join(","), head);
      if (words === null || parts.length <= head) return false;
      // A name can hold anything, tabs too.
      const name = parts.slice(head).join("\t");
      const pid = Number(words.at(-1));
      names.set(pid, name);
      const flow = tag === "O" ? waiting.get(words[0] ?? 0n) : undefined;
      if (flow !== undefined) {
        waiting.delete(words[0] ?? 0n);
        if (!pids.has(flow)) pids.set(flow, pid);
      }
      return true;
    },
    find(flow, inode) {
      const owner = evidence.owners().get(inode);
      if (owner !== undefined) return owner;
      const pid = pids.get(flow.id);
      return pid === undefined ? null : { pid, comm: names.get(pid) ?? UNKNOWN_NAME };
    },
  };
}
