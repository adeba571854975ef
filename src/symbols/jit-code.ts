import { fstatSync } from "node:fs";
import { readFromFile } from "./byte-source.ts";
import type { UserFrame } from "./frame.ts";
import { parseJitName } from "./jit-name.ts";
import type { SymbolLimits } from "./limits.ts";
import { findFile, type OpenFile } from "./open-file.ts";
import { PerfMap, type PerfMapCounts } from "./perf-map.ts";

/** The code that a JIT compiler wrote in one process, named by its perf map. */
export class JitCode {
  readonly #file: OpenFile;
  readonly #fd: number;
  readonly #map: PerfMap;
  readonly #now: () => number;
  readonly #interval: number;
  readonly #frames = new Map<number, UserFrame>();
  #next = 0;

  /** Owns `file`. `now` in seconds. */
  constructor(
    file: OpenFile & { readonly fd: number },
    shared: { limits: SymbolLimits; entries: { left: number }; now: () => number },
  ) {
    this.#file = file;
    this.#fd = file.fd;
    this.#now = shared.now;
    this.#interval = shared.limits.rereadSeconds;
    // The file grows: its size is asked for at each update instead of being the limit of what can be read.
    const source = readFromFile(file.fd, Number.MAX_SAFE_INTEGER);
    this.#map = new PerfMap(source, shared.limits, shared.entries);
  }

  get counts(): PerfMapCounts {
    return this.#map.counts;
  }

  /** The function at `address`, or null. Reads on in the file where the last time is long enough ago. */
  frameAt(address: number): UserFrame | null {
    this.#update();
    const entry = this.#map.find(address);
    if (entry === -1) return null;
    const known = this.#frames.get(entry);
    if (known !== undefined) return known;
    const text = this.#map.readName(entry);
    if (text === null) return null;
    const frame: UserFrame = { ...parseJitName(text), module: "[jit]", kind: "jit" };
    this.#frames.set(entry, frame);
    return frame;
  }

  close(): void {
    this.#map.close();
    this.#file.close();
  }

  #update(): void {
    const start = this.#now();
    if (start < this.#next) return;
    const before = this.#map.counts.entries;
    try {
      this.#map.update(fstatSync(this.#fd).size);
    } catch {
      // Closed, or the disk failed: what is known stays known.
    }
    // A big map is sorted anew when it has grown: that may take a tenth of the time, not more.
    if (this.#map.counts.entries > before) this.#map.find(0);
    this.#next = this.#now() + Math.max(this.#interval, 10 * (this.#now() - start));
  }
}

/**
 * Opens the perf map of a process: `/tmp/perf-PID.map` in its own root and with its own pid, as it sees both itself. Null
 * where there is none, or where it belongs neither to the process' user nor to root: then someone else wrote it, /tmp is
 * open to all. Null also on a remote file system, which could let us wait.
 */
export async function openPerfMap(
  folder: string,
  innerPid: number,
  uid: number | null,
): Promise<(OpenFile & { readonly fd: number }) | null> {
  const found = await findFile(`${folder}/root/tmp/perf-${innerPid}.map`, false);
  if (found === null) return null;
  try {
    if (found.uid !== 0 && found.uid !== uid) return null;
    const file = await found.open();
    if (file === null) return null;
    const { fd } = file;
    if (fd !== null) return { ...file, fd };
    file.close();
    return null;
  } finally {
    await found.release();
  }
}
