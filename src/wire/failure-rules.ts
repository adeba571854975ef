import type { FailureRule } from "./failure.ts";
import { HOST_RULES } from "./failure-host.ts";
import { PROBE_RULES } from "./failure-probe.ts";
import { PROGRAM_RULES } from "./failure-program.ts";

/**
 * Every known failure, the telling one first: the first rule that matches any line decides. Wordings were recorded from
 * 0.11, 0.17, 0.23 and 0.27; those of a locked-down kernel and of a memory limit are from the source (src/lockdown.cpp,
 * src/bpfbytecode.cpp).
 */
export const FAILURE_RULES: readonly FailureRule[] = [...HOST_RULES, ...PROBE_RULES, ...PROGRAM_RULES];
