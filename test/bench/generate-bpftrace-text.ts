import { closeSync, openSync, writeSync } from "node:fs";

export interface Generated {
  readonly stacks: number;
  /** Different ones without their offsets: as many as a profile has. */
  readonly distinct: number;
  /** Sum of the counts. */
  readonly total: number;
}

/**
 * Writes a synthetic bpftrace map text like `@[kstack, ustack, comm]: count`: unique stacks of about 35 frames over
 * 21,000 symbols and 459,000 `symbol+offset` strings, a bit more than half of them without a kernel stack,
 * ascending counts (bpftrace sorts so). The same arguments give the same bytes.
 *
 * Run: node test/bench/generate-bpftrace-text.ts OUT [stacks=200000]
 */
export function generateBpftraceText(path: string, stacks = 200_000): Generated {
  const random = createRandom(20_261_122);
  const user = makeGraph(random, 17_000, "ns");
  const kernel = makeGraph(random, 4_300, "k");
  const seen = new Set<string>();
  const distinct = new Set<string>();
  const fd = openSync(path, "w");
  let total = 0;
  let text = "Attaching 2 probes...\n\n\n";
  for (let made = 0; made < stacks;) {
    const inKernel = random() < 0.463;
    const below = walk(user, random, inKernel ? 22 : 34);
    const above = inKernel ? walk(kernel, random, 14) : null;
    const comm = COMMS[Math.floor(random() * COMMS.length)] ?? "sh";
    const body =
      (above === null ? "@[, \n" : `@[\n${print(above.frames)}, \n`) + `${print(below.frames)}, ${comm}]: `;
    const hash = hashText(body);
    if (seen.has(hash)) continue;
    seen.add(hash);
    distinct.add(`${comm} ${below.names} ${above?.names ?? ""}`);
    made += 1;
    const count = 1 + Math.floor((made / stacks) ** 12 * 400);
    total += count;
    text += `${body}${count}\n`;
    if (text.length > 1 << 20) {
      writeSync(fd, text);
      text = "";
    }
  }
  writeSync(fd, text);
  closeSync(fd);
  return { stacks, distinct: distinct.size, total };
}

const COMMS = ["node", "V8 Worker", "postgres", "nginx", "java", "kworker/3:1", "python3", "redis-server"];

interface Graph {
  readonly names: readonly string[];
  readonly callees: readonly (readonly number[])[];
}

function makeGraph(random: () => number, size: number, prefix: string): Graph {
  const names = Array.from({ length: size }, (_, index) => {
    const words = [
      "Handle",
      "Buffer",
      "Stream",
      "Process",
      "Context",
      "Object",
      "Visit",
      "Compile",
      "Array",
      "Read",
    ];
    const pick = (): string => words[Math.floor(random() * words.length)] ?? "X";
    return `${prefix}::${pick()}${pick()}${index}::${pick()}_${pick().toLowerCase()}_${pick()}`;
  });
  const callees = names.map(() => Array.from({ length: 6 }, () => Math.floor(random() * size)));
  return { names, callees };
}

/**
 * Goes down the call graph: the first callee is by far the likeliest, so that stacks share their roots. Frames leaf first; `names` is the same
 * for stacks that differ in offsets only.
 */
function walk(graph: Graph, random: () => number, depth: number): { frames: string[]; names: string } {
  const frames: string[] = [];
  let one = 0x811c9dc5;
  let two = 5381;
  const length = Math.max(2, Math.round(depth * (0.6 + random() * 0.8)));
  let at = 0;
  for (let level = 0; level < length; level++) {
    const offset = level < 9 ? 17 + level : 4 * Math.floor(random() * 22);
    frames.push(`${graph.names[at]}+${offset}`);
    one = Math.imul(one ^ at, 0x01000193);
    two = (Math.imul(two, 33) + at) | 0;
    const next = graph.callees[at] ?? [0];
    const choice = level < 4 ? 0 : Math.min(5, Math.floor(-Math.log(1 - random()) * 1.1));
    at = next[choice] ?? 0;
  }
  return { frames: frames.toReversed(), names: `${one}.${two}.${length}` };
}

function print(frames: readonly string[]): string {
  return frames.map((frame) => `    ${frame}\n`).join("");
}

/** Mulberry32: small, seeded, the same on every machine. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Two 32-bit hashes: the set of 200,000 stacks need not hold the texts. */
function hashText(text: string): string {
  let one = 0x811c9dc5;
  let two = 5381;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    one = Math.imul(one ^ code, 0x01000193);
    two = (Math.imul(two, 33) + code) | 0;
  }
  return `${one}.${two}`;
}

if (import.meta.main) {
  const path = process.argv[2];
  if (path === undefined) throw new Error("usage: node test/bench/generate-bpftrace-text.ts OUT [stacks]");
  const made = generateBpftraceText(path, Number(process.argv[3] ?? 200_000));
  process.stdout.write(`${JSON.stringify(made)}\n`);
}
