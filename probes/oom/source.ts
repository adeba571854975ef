import { readKernelLog, readKernelLogStream } from "../../src/evidence/kernel-log/read.ts";
import { zeroCounts } from "../../src/evidence/kernel-log/line.ts";
import type { Fact, Options, SourceContext } from "../../src/probe/define.ts";
import { countsFact, linesFact } from "./kernel-line.ts";

/** The commands that print this host's log, in a form that keeps times. */
const TOOLS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  dmesg: ["dmesg", "--time-format", "iso"],
  journal: ["journalctl", "--no-pager", "-q", "-k", "-a", "-o", "short-iso-precise", "-b", "all"],
};

/** The lines of `--log FILE|-|dmesg|journal`, in batches; null without that option. */
export function openSource(options: Options, context: SourceContext): AsyncIterable<readonly Fact[]> | null {
  const log = options["log"];
  return typeof log === "string" ? readSource(log, context) : null;
}

async function* readSource(log: string, context: SourceContext): AsyncGenerator<readonly Fact[]> {
  const counts = zeroCounts();
  let cut: string | null = null;
  const reading = { counts, onCut: (why: string) => void (cut = why) };
  const [command, ...args] = TOOLS[log] ?? [];
  const batches =
    command === undefined
      ? readKernelLog(log, log === "-" ? { ...reading, stdin: context.stdin } : reading)
      : readKernelLogStream(log, context.run(command, args), reading);
  for await (const lines of batches) yield [linesFact(lines)];
  yield [countsFact(counts, cut)];
}
