import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";

/**
 * What running a small helper program came to. Its output is text from the system: hostile data.
 * `stdout` of a failure is what was written before it, perhaps cut in the middle of a line.
 */
export type ToolOutcome =
  | { readonly ok: true; readonly stdout: string; readonly stderr: string }
  | {
      readonly ok: false;
      readonly reason: "missing" | "timeout" | "failed";
      readonly message: string;
      readonly stdout: string;
      readonly stderr: string;
    };

export type ToolOptions = {
  /** Seconds until the tool and all it started are killed; default 2. */
  readonly timeout?: number;
  /** Path of a network namespace (`/run/netns/x`, `/proc/PID/ns/net`) to run it in; null or absent for our own. */
  readonly netns?: string | null;
  /** Most characters kept of stdout and of stderr; above it the tool is killed ("failed"); default 16 Mi. */
  readonly maxBytes?: number;
  readonly input?: string;
};

const DEFAULT_TIMEOUT = 2;
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** A process in an uninterruptible sleep survives SIGKILL: after this many seconds more it is not waited for. */
const GRACE = 0.5;

/**
 * Runs a tool without a shell and waits for it. Never rejects. Messages come in English (`LC_ALL=C`), and the
 * folders of system tools are searched also where PATH lacks them (cron, su).
 */
export async function runTool(
  command: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolOutcome> {
  const timeout = options.timeout ?? DEFAULT_TIMEOUT;
  const netns = options.netns ?? null;
  const [file, words] =
    netns === null ? [command, args] : ["nsenter", [`--net=${netns}`, "--", command, ...args]];
  const abandon = new AbortController();
  try {
    const running = execa(file, words, {
      reject: false,
      timeout: Math.max(1, Math.round(timeout * 1000)),
      killSignal: "SIGKILL",
      killDescendants: true,
      maxBuffer: options.maxBytes ?? DEFAULT_MAX_BYTES,
      stripFinalNewline: false,
      env: { LC_ALL: "C", PATH: `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin` },
      ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
    });
    const late = delay((timeout + GRACE) * 1000, null, { signal: abandon.signal, ref: false }).catch(
      () => null,
    );
    const result = await Promise.race([running, late]);
    if (result === null) return failure("timeout", `${command} does not end, ${timeout} s after its start`);
    const { stdout, stderr } = result;
    if (result.timedOut)
      return failure("timeout", `${command} took longer than ${timeout} s`, stdout, stderr);
    if (result.isMaxBuffer) return failure("failed", `${command} printed too much`, stdout, stderr);
    if (result.code === "ENOENT") return failure("missing", `${file} is not installed`, stdout, stderr);
    // nsenter and sh say 127 for a command they do not find.
    if (result.exitCode === 127) return failure("missing", `${command} is not installed`, stdout, stderr);
    if (result.failed) return failure("failed", describe(command, result), stdout, stderr);
    return { ok: true, stdout, stderr };
  } catch (error) {
    // execa rejects for arguments it refuses, such as a null byte in a name.
    return failure(
      "failed",
      `${command} could not be started: ${error instanceof Error ? error.message : "?"}`,
    );
  } finally {
    abandon.abort();
  }
}

function failure(
  reason: "missing" | "timeout" | "failed",
  message: string,
  stdout = "",
  stderr = "",
): Extract<ToolOutcome, { ok: false }> {
  return { ok: false, reason, message, stdout, stderr };
}

function describe(
  command: string,
  result: { readonly exitCode?: number; readonly signal?: string; readonly stderr: string },
): string {
  const line = result.stderr.trim().split("\n").at(-1) ?? "";
  const end =
    result.signal === undefined ? `exit status ${result.exitCode ?? "?"}` : `killed by ${result.signal}`;
  return line === "" ? `${command}: ${end}` : `${command}: ${end}: ${line.slice(0, 300)}`;
}
