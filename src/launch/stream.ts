import { execa } from "execa";
import { EXIT, TraceError } from "../error.ts";

/**
 * The standard output of a tool, as it comes; the tool is ended when the reader stops early. Throws TraceError when it is not there or may not
 * read what it shows (host), or fails (failed), after what it printed. Messages come in English, and system folders are searched also where PATH lacks them.
 */
export async function* streamTool(command: string, args: readonly string[]): AsyncGenerator<Uint8Array> {
  const child = execa(command, args, {
    reject: false,
    buffer: { stdout: false },
    encoding: "buffer",
    stdin: "ignore",
    env: { LC_ALL: "C", PATH: `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin` },
  });
  try {
    for await (const chunk of child.iterable({ from: "stdout", binary: true, preserveNewlines: true })) {
      yield chunk;
    }
  } finally {
    child.kill("SIGTERM");
  }
  const result = await child;
  if (!result.failed) return;
  if (result.code === "ENOENT") {
    throw new TraceError(EXIT.host, `${command} is not installed`, {
      why: "there is no such program on this host",
      hint: null,
    });
  }
  const said = Buffer.from(result.stderr).toString().trim().split("\n").at(-1) ?? "";
  const isForbidden = /operation not permitted|permission denied/i.test(said) && process.getuid?.() !== 0;
  throw new TraceError(isForbidden ? EXIT.host : EXIT.failed, `${command} failed`, {
    why: said === "" ? `exit status ${result.exitCode ?? "unknown"}` : said.slice(0, 300),
    hint: isForbidden ? "run it as root" : `${command} ${args.join(" ")}`,
  });
}
