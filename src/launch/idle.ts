import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

/** Where a process sleeps that waits for events (fs/eventpoll.c: `ep_poll`, in newer kernels `do_epoll_wait`). */
const WAITS = /epoll|ep_poll/;
const LOOK_EVERY_MS = 2;

/**
 * Resolves when the process sleeps in epoll, that is: when bpftrace has printed everything it has, at latest after `patience` seconds.
 * Up to 0.17 at least, a signal that arrives while it prints makes it throw the rest of what it has read away, without a
 * word; one that arrives while it waits loses nothing. Where the kernel does not show what a process waits for, at once.
 */
export async function waitUntilIdle(pid: number | null, patience: number): Promise<void> {
  if (pid === null) return;
  const end = performance.now() + patience * 1000;
  while (performance.now() < end) {
    const place = await readFile(`/proc/${pid}/wchan`, "latin1").catch(() => null);
    if (place === null || WAITS.test(place)) return;
    // "0": it runs, or the kernel does not say; the state tells which.
    if (place === "0" && (await readState(pid)) === "S") return;
    await delay(LOOK_EVERY_MS);
  }
}

async function readState(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
  return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
}
