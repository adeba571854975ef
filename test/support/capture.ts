import { Writable } from "node:stream";
import type { CommandIo } from "../../src/commands/io.ts";
import { main } from "../../src/commands/main.ts";

/** Runs one command line in this process, without a terminal, and gives what it printed. */
export async function runTrace(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let code = 0;
  const out = collect();
  const err = collect();
  // The commands only use what every writable stream has.
  const io = {
    stdout: out.stream,
    stderr: err.stream,
    color: false,
    width: 80,
    exit: (wanted: number) => (code = wanted),
    takeSignals: () => false,
  };
  await main(argv, io as unknown as CommandIo);
  return { code, stdout: out.text(), stderr: err.text() };
}

function collect(): { stream: Writable; text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString("utf8") };
}
