/** What a program prints when all its probes are attached. */
export const READY_LINE = "trace:ready\n";

/**
 * The last probe of every program. BEGIN and (up to 0.23) bpftrace's own banner come before the other probes are attached; the
 * first tick of an `interval` that is attached last comes after, in every version.
 */
const READY_PROBE = `
// trace: all probes are attached once this one ticks
interval:ms:50
{
  if (@trace_ready == 0) {
    @trace_ready = 1;
    printf("trace:ready\\n");
  }
}
`;

/** The program with its ready signal. */
export function withReadySignal(program: string): string {
  return `${program.trimEnd()}\n${READY_PROBE}`;
}
