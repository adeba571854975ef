/** What a program prints when all its probes are attached. */
export const READY_LINE = "trace:ready\n";

/**
 * The last probe of every program. BEGIN and (up to 0.23) bpftrace's own banner come before the other probes are attached; the
 * first tick of an `interval` that is attached last comes after, in every version. `prints`: statements that come before it.
 */
const readyProbe = (prints: string) => `
// trace: all probes are attached once this one ticks
interval:ms:50
{
  if (@trace_ready == 0) {
    @trace_ready = 1;
${prints}    printf("trace:ready\\n");
  }
}
`;

/** A program that ends with an interval which does nothing but print its maps. */
const LAST_PRINTS = /\ninterval:[a-z]+:\d+\s*\{\n((?:\s*print\(@\w+\);\n)+)\}$/;

/**
 * The program with its ready signal. Maps that it prints at the end of every interval are printed just before the signal as well: what
 * they hold by then was counted while other probes were still being attached.
 */
export function withReadySignal(program: string): string {
  const text = program.trimEnd();
  const prints = LAST_PRINTS.exec(text)?.[1] ?? "";
  return `${text}\n${readyProbe(prints.replace(/^[ \t]*(?=\S)/gm, "    "))}`;
}
