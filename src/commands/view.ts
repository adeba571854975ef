import { randomBytes } from "node:crypto";
import { mkdtemp, open, rm, type FileHandle } from "node:fs/promises";
import { hostname, tmpdir, userInfo } from "node:os";
import { basename, join } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import { createAtomicWriter } from "../files/atomic.ts";
import { withInterrupt } from "../files/interrupt.ts";
import { identifyFile } from "../profile/read/read.ts";
import { printSpeedscope, writeSpeedscopeStore } from "../profile/write.ts";
import { escapeText } from "../text/escape.ts";
import { formatBytes } from "../text/format.ts";
import { loadAssets } from "../view-server/assets.ts";
import { isOwnPage, printPage } from "../view-server/page.ts";
import { startViewServer, type ServedProfile } from "../view-server/server.ts";
import type { CommandIo } from "./io.ts";
import { createUnitOption, describePruned, readInputs, type InputOptions } from "./profile-input.ts";

/** Shows `url` to the user; false where there is no browser to show it in. */
export type OpenBrowser = (url: string) => Promise<boolean>;

interface ViewOptions extends InputOptions {
  readonly html?: string;
  readonly port: number;
  readonly open: boolean;
  readonly force?: boolean;
}

/** Adds `trace view`. Without `openBrowser` the address is only printed. */
export function addViewCommand(
  program: Command,
  io: CommandIo,
  openBrowser: OpenBrowser | null = null,
): void {
  program
    .command("view")
    .summary("shows a profile in the bundled speedscope, offline")
    .description(
      "Shows profiles in a browser: speedscope's own files as they are, everything else that `trace convert` reads converted first. " +
        "The viewer is served on 127.0.0.1 only, under a path that cannot be guessed, until Ctrl-C.",
    )
    .argument("<file...>", "profiles to show, - for standard input; several are shown as one file")
    .option("--html <out>", "write one page that holds viewer and profile, instead of serving them")
    .addOption(new Option("--port <n>", "port on 127.0.0.1").argParser(parsePort).default(0, "a free one"))
    .option("--no-open", "only print the address")
    .addOption(createUnitOption())
    .option("--force", "replace an existing OUT that is not ours")
    .action(async (files: string[], options: ViewOptions) => {
      if (options.html === undefined) await serve(files, options, io, openBrowser);
      else await withInterrupt((signal) => writePage(files, options.html ?? "", options, io, signal));
    });
}

async function writePage(
  files: readonly string[],
  output: string,
  options: ViewOptions,
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const store = await readInputs(files, options, io, signal);
  const chunks: Buffer[] = [];
  const pruned = printSpeedscope(store, {}, (chunk) => void chunks.push(Buffer.from(chunk)));
  const out = createAtomicWriter(output, { force: options.force ?? false, isOurs: isOwnPage });
  try {
    printPage(loadAssets(), { name: store.name, body: Buffer.concat(chunks) }, out.write);
    out.commit();
  } finally {
    out.abort();
  }
  for (const line of describePruned(pruned)) io.stderr.write(`trace: ${escapeText(line)}\n`);
  io.stdout.write(
    `${escapeText(output)}  ${formatBytes(out.bytes)}: open it in any browser, it needs no network\n`,
  );
}

async function serve(
  files: readonly string[],
  options: ViewOptions,
  io: CommandIo,
  openBrowser: OpenBrowser | null,
): Promise<void> {
  // From here on Ctrl-C is how the user ends the viewing: a normal end.
  const stopped = new AbortController();
  const stop = (): void => stopped.abort();
  process.on("SIGINT", stop).on("SIGTERM", stop).on("SIGHUP", stop);
  const cleanups: (() => Promise<void>)[] = [];
  try {
    const assets = loadAssets();
    const profile = await openProfile(files, options, io, stopped.signal, cleanups);
    const server = await startViewServer(assets, profile, options.port);
    cleanups.push(server.close);
    io.stdout.write(`${server.url}\n`);
    const shown = options.open && openBrowser !== null ? await openBrowser(server.url) : false;
    io.stderr.write(describeAccess(server.port, shown, process.env));
    await waitFor(stopped.signal);
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
  } finally {
    for (const clean of cleanups.toReversed()) await clean();
    process.off("SIGINT", stop).off("SIGTERM", stop).off("SIGHUP", stop);
  }
}

/** One speedscope file is served as it is, at any size; anything else is converted to a private temporary file first. */
async function openProfile(
  files: readonly string[],
  options: ViewOptions,
  io: CommandIo,
  signal: AbortSignal,
  cleanups: (() => Promise<void>)[],
): Promise<ServedProfile> {
  const [first = "-"] = files;
  const plain = files.length === 1 && first !== "-" && (await identifyFile(first)) === "speedscope";
  if (plain) return { name: basename(first), file: await keepOpen(first, cleanups) };
  const store = await readInputs(files, options, io, signal);
  const folder = await mkdtemp(join(tmpdir(), "trace-view-"));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, `${randomBytes(8).toString("hex")}.json`);
  const { pruned } = writeSpeedscopeStore(path, store);
  for (const line of describePruned(pruned)) io.stderr.write(`trace: ${escapeText(line)}\n`);
  return { name: `${store.name}.speedscope.json`, file: await keepOpen(path, cleanups) };
}

async function keepOpen(path: string, cleanups: (() => Promise<void>)[]): Promise<FileHandle> {
  const file = await open(path, "r");
  cleanups.push(() => file.close());
  return file;
}

/** How to get to the address from another machine, and how to end. */
export function describeAccess(port: number, shown: boolean, environment: NodeJS.ProcessEnv): string {
  const lines: string[] = [];
  const connection = (environment["SSH_CONNECTION"] ?? "").split(" ");
  const isRemote = connection.length === 4 || environment["SSH_TTY"] !== undefined;
  const hasDisplay = (environment["DISPLAY"] ?? environment["WAYLAND_DISPLAY"] ?? "") !== "";
  if (isRemote || !hasDisplay) {
    const user = environment["SUDO_USER"] ?? userInfo().username;
    const host = connection[2] ?? hostname();
    lines.push(
      `From another machine:  ssh -N -L ${port}:127.0.0.1:${port} ${user}@${host}   then open the address above there`,
    );
  }
  lines.push(
    shown
      ? "Shown in a browser. Ctrl-C ends the viewer."
      : "Open the address in a browser. Ctrl-C ends the viewer.",
  );
  return `${lines.map(escapeText).join("\n")}\n`;
}

function waitFor(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new InvalidArgumentError("a port from 1 to 65535 is expected");
  return port;
}
