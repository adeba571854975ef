import { createReadStream } from "node:fs";
import { createGunzip, createGzip, constants, type Gzip } from "node:zlib";
import { EXIT, TraceError } from "../error.ts";
import { createAtomicWriter } from "../files/atomic.ts";
import { createLineSplitter } from "../launch/lines.ts";
import type { Json, SessionInfo } from "../probe/define.ts";
import type { Input } from "./input.ts";

/**
 * A recording is gzip'ed NDJSON. Line 1 describes it; each further line is one input of the session as a short array:
 * ["l", at, text] stdout (bytes as latin1), ["e", at, text] stderr, ["r", at] ready, ["t", at] tick,
 * ["f", at, fact, key, value], ["s", at, cause], ["x", at, {…}] exit.
 */
const FORMAT = "trace-recording";
const VERSION = 1;

export interface Recorder {
  write(input: Input): void;
  /** Gives the file its name. Throws TraceError when it cannot be written. */
  close(): Promise<void>;
  abort(): void;
}

/** Starts a recording at `path`. Throws TraceError when it cannot be created; a later failure shows in `close()`. */
export function createRecorder(path: string, info: SessionInfo): Recorder {
  const file = createAtomicWriter(path, {
    isOurs: (head) => head[0] === 0x1f && head[1] === 0x8b,
    option: "--record",
  });
  const gzip: Gzip = createGzip({ level: 4 });
  let failure: unknown = null;
  let isClosed = false;
  gzip.on("data", (chunk: Buffer) => {
    if (failure !== null) return;
    try {
      file.write(chunk);
    } catch (error) {
      failure = error;
    }
  });
  const put = (line: Json) => gzip.write(`${JSON.stringify(line)}\n`);
  put({ format: FORMAT, version: VERSION, session: info as unknown as Json });
  return {
    write(input) {
      // An answer that comes after the end of the session is no part of it.
      if (isClosed) return;
      put(encode(input));
      // What is on disk after a crash can be replayed up to the last second.
      if (input.kind === "tick") gzip.flush(constants.Z_SYNC_FLUSH);
    },
    close: () =>
      new Promise((resolve, reject) => {
        isClosed = true;
        gzip.on("end", () => {
          try {
            if (failure !== null) throw failure;
            file.commit();
            resolve();
          } catch (error) {
            reject(error);
          } finally {
            file.abort();
          }
        });
        gzip.end();
      }),
    abort() {
      gzip.destroy();
      file.abort();
    },
  };
}

function encode(input: Input): Json {
  switch (input.kind) {
    case "line":
      return ["l", input.at, input.line.toString("latin1")];
    case "stderr":
      return ["e", input.at, input.line];
    case "ready":
      return ["r", input.at];
    case "tick":
      return ["t", input.at];
    case "fact":
      return ["f", input.at, input.fact.fact, input.fact.key, input.fact.value];
    case "stop":
      return ["s", input.at, input.cause];
    case "exit": {
      const { kind: _, at, ...rest } = input;
      return ["x", at, rest];
    }
  }
}

function decode(line: string): Input | null {
  const [kind, at, a, b, c] = JSON.parse(line) as [string, number, Json, Json, Json];
  if (typeof at !== "number") return null;
  switch (kind) {
    case "l":
      return typeof a === "string" ? { kind: "line", at, line: Buffer.from(a, "latin1") } : null;
    case "e":
      return typeof a === "string" ? { kind: "stderr", at, line: a } : null;
    case "r":
      return { kind: "ready", at };
    case "t":
      return { kind: "tick", at };
    case "f":
      return typeof a === "string" && typeof b === "string"
        ? { kind: "fact", at, fact: { fact: a, key: b, value: c ?? null } }
        : null;
    case "s":
      return { kind: "stop", at, cause: a === "duration" ? "duration" : "signal" };
    case "x": {
      const end = a as {
        code: number | null;
        signal: string | null;
        startError: string | null;
        killed: boolean;
        misses: number | null;
        unanswered?: Json;
      };
      const { unanswered, ...rest } = end;
      const names = Array.isArray(unanswered) ? unanswered.filter((name) => typeof name === "string") : [];
      return { kind: "exit", at, ...rest, ...(names.length > 0 ? { unanswered: names } : {}) };
    }
    default:
      return null;
  }
}

export interface Recording {
  readonly info: SessionInfo;
  readonly inputs: AsyncIterable<Input>;
}

/**
 * Opens a recording. Throws TraceError when it is none. A damaged or cut one gives what is whole and ends with an `exit`
 * that says `cut`.
 */
export async function openRecording(path: string): Promise<Recording> {
  const lines = readLines(path)[Symbol.asyncIterator]();
  const first = await lines.next();
  const info = first.done === true ? null : readHeader(first.value);
  if (info === null) {
    throw new TraceError(EXIT.failed, `${path} is not a recording of trace`, {
      why: "it does not start with the description of a session",
      hint: "record one with: trace drops --record FILE",
    });
  }
  return { info, inputs: readInputs({ [Symbol.asyncIterator]: () => lines }) };
}

function readHeader(line: string): SessionInfo | null {
  try {
    const header = JSON.parse(line) as { format?: unknown; version?: unknown; session?: SessionInfo };
    if (header.format !== FORMAT || header.session === undefined) return null;
    if (header.version !== VERSION) {
      throw new TraceError(EXIT.failed, `this recording has format ${String(header.version)}`, {
        why: `this trace reads format ${VERSION}`,
        hint: "use the version of trace that made it, or a newer one",
      });
    }
    return header.session;
  } catch (error) {
    if (error instanceof TraceError) throw error;
    return null;
  }
}

async function* readInputs(lines: AsyncIterable<string>): AsyncGenerator<Input> {
  let at = 0;
  let isEnded = false;
  for await (const line of lines) {
    let input: Input | null = null;
    try {
      input = decode(line);
    } catch {
      break;
    }
    if (input === null) break;
    at = input.at;
    yield input;
    isEnded = input.kind === "exit";
  }
  if (!isEnded)
    yield {
      kind: "exit",
      at,
      code: null,
      signal: null,
      startError: null,
      killed: false,
      misses: null,
      cut: true,
    };
}

/** Lines of a gzip'ed file up to where it can be read. A missing file is an error, a cut one is not. */
async function* readLines(path: string): AsyncGenerator<string> {
  const file = createReadStream(path);
  const gunzip = createGunzip();
  file.on("error", (error) => gunzip.destroy(error));
  file.pipe(gunzip);
  let ready: string[] = [];
  const splitter = createLineSplitter((line) => ready.push(line.toString("utf8")));
  try {
    for await (const chunk of gunzip) {
      splitter.push(chunk as Buffer);
      yield* ready;
      ready = [];
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (code === "ENOENT" || code === "EACCES" || code === "EISDIR") {
      throw new TraceError(EXIT.failed, `cannot read ${path}`, {
        why:
          code === "ENOENT"
            ? "there is no such file"
            : code === "EISDIR"
              ? "it is a folder"
              : "no permission",
        hint: `ls -l ${path}`,
        cause: error,
      });
    }
    yield* ready;
  }
}
