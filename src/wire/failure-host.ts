import type { FailureRule } from "./failure.ts";

/** What this machine does not allow to anybody, or not to this user. */
export const HOST_RULES: readonly FailureRule[] = [
  {
    code: "no-permission",
    pattern: /only supports running as the root user|Missing (CAP_\w+) capability/,
    explain: (found) => ({
      message: "bpftrace must run as root",
      why: found[1] === undefined ? "this user is not root" : `this process lacks ${found[1]}`,
      hint: "run the same command with sudo",
    }),
  },
  {
    code: "no-permission",
    pattern: /perf_event_open failed: (Operation not permitted|Permission denied)/,
    explain: (found) => ({
      message: "the kernel does not let this process trace",
      why: `perf_event_open: ${found[1]} (inside a container, CAP_PERFMON and CAP_BPF or --privileged are needed)`,
      hint: "grep CapEff /proc/self/status; sysctl kernel.perf_event_paranoid",
    }),
  },
  {
    code: "lockdown",
    pattern: /Kernel lockdown is enabled/,
    explain: () => ({
      message: "the kernel does not let anybody trace it",
      why: "kernel lockdown is set to confidentiality",
      hint: "cat /sys/kernel/security/lockdown   # boot with lockdown=integrity or without Secure Boot",
    }),
  },
  {
    code: "memlock",
    pattern:
      /(?:failed to create|Error creating) map: '([^']*)': (?:Operation not permitted|Cannot allocate memory)/i,
    explain: (found) => ({
      message: `the kernel refused the memory for the table ${found[1]}`,
      why: "the limit on locked memory is too low (kernels before 5.11 charge BPF tables to it)",
      hint: "ulimit -l unlimited",
    }),
  },
  {
    code: "other",
    pattern: /(?:failed to create|Error creating) map: '([^']*)': (.*)/i,
    explain: (found) => ({
      message: `the kernel refused the table ${found[1]}`,
      why:
        found[2] === "Argument list too long"
          ? "it has more entries than the kernel allows"
          : (found[2] ?? null),
      hint: null,
    }),
  },
  {
    code: "no-tracepoint",
    pattern: /available_events \(No such file or directory\)/,
    explain: () => ({
      message: "the kernel's tracepoints cannot be read",
      why: "tracefs is not mounted",
      hint: "mount -t tracefs tracefs /sys/kernel/tracing",
    }),
  },
  {
    code: "too-old",
    pattern: /^bpftrace: (?:unrecognized|invalid) option (.*)/,
    explain: (found) => ({
      message: "this bpftrace is too old or not bpftrace",
      why: `it does not know the option ${found[1]?.replace(/^-- /, "")}`,
      hint: "bpftrace --version",
    }),
  },
  {
    code: "other",
    pattern: /Failed to open perf buffer/,
    explain: (_found, { lines }) => ({
      message: "the event buffer could not be set up",
      why: lines.find((line) => line.startsWith("mmap: ")) ?? null,
      hint: "unset BPFTRACE_PERF_RB_PAGES   # before 0.18 it must be a power of two",
    }),
  },
];
