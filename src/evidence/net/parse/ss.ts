import type { Listener } from "../types.ts";
import { parseCount, splitWords, type Parsed } from "./values.ts";

/** A socket as `ss -nem` prints it. */
export type SsSocket = {
  readonly local: string;
  readonly dev: string | null;
  readonly port: number;
  readonly receiveQueue: number;
  readonly sendQueue: number;
  readonly inode: number | null;
  readonly uid: number | null;
  readonly cgroup: string | null;
  /** Receive buffer in bytes (`rb` of skmem). */
  readonly receiveBuffer: number | null;
  /** `d` of skmem; null before iproute2 4.8. */
  readonly drops: number | null;
};

/**
 * `ss -Hnem` with `-lt` or `-au`. The memory numbers follow on a line of their own that starts with a blank, or (`-O`) at
 * the end of the same line. The cgroup path is free text, but no newline can be in it (kernel/cgroup/cgroup.c).
 */
export function parseSs(text: string): Parsed<SsSocket[]> {
  const sockets: SsSocket[] = [];
  let unread = 0;
  const joined = text.replaceAll(/\n[\t ]+/g, " ");
  for (const line of joined.split("\n")) {
    if (line.trim() === "") continue;
    const socket = parseLine(line);
    if (socket === null) unread += 1;
    else sockets.push(socket);
  }
  return { value: sockets, unread };
}

function parseLine(line: string): SsSocket | null {
  const [, receive = "", send = "", local = ""] = splitWords(line);
  const receiveQueue = parseCount(receive);
  const sendQueue = parseCount(send);
  const colon = local.lastIndexOf(":");
  const port = parseCount(local.slice(colon + 1).replace("*", "0"));
  if (receiveQueue === null || sendQueue === null || port === null || colon < 0) return null;
  // 127.0.0.53%lo, [fe80::1]%eth0, [::ffff:1.2.3.4], *
  const [address = "", dev = null] = local.slice(0, colon).split("%", 2);
  // The last one is the kernel's: free text can only come before it.
  const memory = [...line.matchAll(/skmem:\(([^()]*)\)/g)].at(-1)?.[1]?.split(",") ?? [];
  return {
    local: address.replace(/^\[(.*)\]$/, "$1"),
    dev,
    port,
    receiveQueue,
    sendQueue,
    inode: parseCount(/ ino:(\d+)/.exec(line)?.[1] ?? ""),
    uid: parseCount(/ uid:(\d+)/.exec(line)?.[1] ?? "0"),
    cgroup: /cgroup:(.*?)(?: v6only:[01]| <->| -->| <--| skmem:|$)/.exec(line)?.[1]?.trim() ?? null,
    receiveBuffer: memoryField(memory, "rb"),
    drops: memoryField(memory, "d"),
  };
}

function memoryField(fields: readonly string[], name: string): number | null {
  const field = fields.find((item) => /^[a-z]+/.exec(item)?.[0] === name);
  return field === undefined ? null : parseCount(field.slice(name.length));
}

/** Listening TCP sockets of `ss -Hlntem`: there Recv-Q is the accept queue's length and Send-Q its limit. */
export function toListener(socket: SsSocket): Listener {
  return {
    address: socket.local,
    family: socket.local === "*" ? "both" : socket.local.includes(":") ? "ipv6" : "ipv4",
    dev: socket.dev,
    port: socket.port,
    queued: socket.receiveQueue,
    backlog: socket.sendQueue,
    inode: socket.inode,
    uid: socket.uid,
    drops: socket.drops,
    cgroup: socket.cgroup,
  };
}
