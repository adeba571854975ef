import type { FailureRule } from "./failure.ts";
import { formatBpftraceVersion } from "./version.ts";
import type { BpftraceVersion } from "./version.ts";

/** The headers for programs, where linux/types.h is. */
const INSTALL_UAPI =
  "apt-get install linux-libc-dev   # Fedora, RHEL: dnf install kernel-headers; Alpine: apk add linux-headers";
/** The headers that the running kernel was built with. */
const INSTALL_KERNEL_HEADERS =
  "apt-get install linux-headers-$(uname -r)   # Fedora, RHEL: dnf install kernel-devel-$(uname -r)";

/** What this bpftrace, or this kernel, does not accept of the program. */
export const PROGRAM_RULES: readonly FailureRule[] = [
  {
    code: "unknown-field",
    pattern:
      /type '(?:\(ctx\) )?([^']*)' does not contain a field named '([^']*)'|Can not access field '([^']*)' on type '([^']*)'/,
    explain: (found) => {
      const field = found[2] ?? found[3] ?? "";
      const event = /(?:_tracepoint_|tracepoint:)([a-z0-9]+)[_:](\w+?)(?:_args)?(?: \*)?$/.exec(
        found[1] ?? "",
      );
      return {
        message: `the program reads the field ${field}, which cannot be read here`,
        why:
          found[3] === undefined
            ? `${event === null ? found[1] : `the event ${event[1]}:${event[2]}`} of this kernel has no such field`
            : "bpftrace before 0.19 wants -> where later ones accept a dot",
        hint: event === null ? null : `cat /sys/kernel/tracing/events/${event[1]}/${event[2]}/format`,
      };
    },
  },
  {
    code: "headers",
    pattern: /'([^']+\.h)' file not found/,
    explain: (found) => ({
      message: "bpftrace could not compile the program",
      why: `it wants the C header ${found[1]}, which is not installed`,
      hint: found[1]?.startsWith("linux/") === true ? INSTALL_UAPI : INSTALL_KERNEL_HEADERS,
    }),
  },
  {
    code: "headers",
    pattern: /definitions\.h:\d+:\d+: (?:fatal )?error: (.*)/,
    explain: (found, { version }) => ({
      message: `${nameBpftrace(version)} does not understand this kernel's tracepoints`,
      why: `it reads them by the C headers that are installed, which lack a type of the kernel's (${found[1]})`,
      // Seen with 0.17 on 5.10: linux-libc-dev is not enough, its linux/types.h knows no pid_t.
      hint: `${INSTALL_KERNEL_HEADERS}. A newer bpftrace (0.23) needs no headers`,
    }),
  },
  {
    code: "headers",
    pattern: /Could not find kernel headers|^Clang parse error/,
    explain: () => ({
      message: "bpftrace could not compile the program",
      why: "the kernel headers are not installed",
      hint: INSTALL_KERNEL_HEADERS,
    }),
  },
  {
    code: "no-btf",
    pattern:
      /Unknown struct\/union: '([^']*)'|Cannot resolve unknown type "([^"]*)"|No BTF found for (\S+?)\.?(?: |,|$)/,
    explain: (found, { version }) => ({
      message: `${nameBpftrace(version)} does not know the kernel's ${found[1] ?? found[2] ?? found[3]}`,
      why: "it found no type information (BTF) of this kernel, or cannot use it",
      hint: "ls -l /sys/kernel/btf/vmlinux",
    }),
  },
  {
    code: "verifier",
    pattern: /BPF stack limit of \d+ bytes is exceeded/,
    explain: (_found, { version }) => ({
      message: `${nameBpftrace(version)} could not compile the program`,
      why: "its keys and strings do not fit the 512 bytes of the BPF stack",
      hint: atLeastTwenty(version) ? "export BPFTRACE_MAX_STRLEN=32" : "export BPFTRACE_STRLEN=32",
    }),
  },
  {
    code: "verifier",
    pattern:
      /Error loading (?:BPF )?program(?: for|:) (\S+?)\.?(?: |$)|BPF object load failure|helper (\w+) not allowed in probe/,
    explain: (found, { lines }) => ({
      message: `the kernel refused the program${found[1] === undefined ? "" : ` for ${found[1]}`}`,
      why:
        found[2] === undefined
          ? (/Error code: (.*?)\.(?: |$)/.exec(lines.join("\n"))?.[1] ??
            "its verifier did not accept it, or a limit of this kernel was hit")
          : `it may not call ${found[2]} there`,
      hint: "run bpftrace -v on the output of trace script to see the verifier's log",
    }),
  },
  {
    code: "other",
    pattern: /Failed to resolve kernel symbol: (\S+)/,
    explain: (found) => ({
      message: `the kernel has no symbol ${found[1]}`,
      why: "the program asks for its address",
      hint: "cat /proc/sys/kernel/kptr_restrict   # symbols also are hidden when this is 2",
    }),
  },
  {
    code: "syntax",
    pattern: /^.{0,200}?:(\d+)(?::(\d+))?(?:-\d+)?: ERROR: (.*)/,
    explain: (found, { version }) => ({
      message: `${nameBpftrace(version)} does not accept the program`,
      why: `line ${found[1]}${found[2] === undefined ? "" : `, column ${found[2]}`}: ${found[3]}`,
      hint: null,
    }),
  },
];

function nameBpftrace(version: BpftraceVersion | null): string {
  return version === null ? "this bpftrace" : `bpftrace ${formatBpftraceVersion(version)}`;
}

function atLeastTwenty(version: BpftraceVersion | null): boolean {
  return version !== null && (version.major > 0 || version.minor >= 20);
}
