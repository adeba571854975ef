import type { Failure, FailureContext, FailureRule } from "./failure.ts";
import { atLeast } from "./version.ts";

/** What the kernel does not offer to attach to. */
export const PROBE_RULES: readonly FailureRule[] = [
  {
    code: "no-kprobe",
    pattern: /create_probe_event: open\(\S*kprobe_events\)/,
    explain: (_found, { lines }) => ({
      message: `no kprobe can be set${nameAttached(lines)}`,
      why: "this kernel is built without kprobes (CONFIG_KPROBE_EVENTS)",
      hint: "ls /sys/kernel/tracing/kprobe_events",
    }),
  },
  {
    code: "no-kprobe",
    pattern:
      /No matches for kr?(?:et)?probe (\S+?)\.?$|(?:Error attaching|Unable to attach) probe: '?k(?:ret)?probe:([^'\s]+?)'?\.?(?: |$)/,
    explain: (found) => {
      const name = found[1] ?? found[2] ?? "";
      return {
        message: `no kprobe can be set on ${name}`,
        why: "this kernel has no kprobes, or no function of that name that may be traced",
        hint: `ls /sys/kernel/tracing/kprobe_events; grep -w ${quote(name)} /sys/kernel/tracing/available_filter_functions`,
      };
    },
  },
  {
    code: "no-tracepoint",
    pattern:
      /tracepoints? not found: (\S+)|No matches for tracepoint (\S+?)\.?$|tracepoint category is not supported: (\S+)/,
    explain: (found, { version }) => explainTracepoint(found[1] ?? found[2] ?? found[3] ?? "", version),
  },
  {
    code: "no-tracepoint",
    pattern: /Probe has no valid attach points/,
    explain: (_found, { programLine, version }) => {
      const name = /^\s*(?:tracepoint|t):([^\s{/,]+)/.exec(programLine)?.[1];
      return name === undefined ? null : explainTracepoint(name, version);
    },
  },
  {
    code: "unsupported-probe",
    pattern: /(?:Error attaching|Unable to attach) probe: '?(hardware:[^'\s]+?|h:[^'\s]+?)'?\.?(?: |$)/,
    explain: (found) => ({
      message: `${found[1]} cannot be attached`,
      why: "this machine has no such hardware counter (virtual machines usually have none)",
      hint: "perf list hw",
    }),
  },
  {
    code: "unsupported-probe",
    pattern:
      /(kfunc\/kretfunc|fentry\/fexit) not available|No matches for (?:fentry|fexit|kfunc|kretfunc) (\S+?)\.?$/,
    explain: (found) => ({
      message: `${found[2] === undefined ? (found[1] ?? "fentry") : `fentry:${found[2]}`} cannot be attached`,
      why: "this kernel has no BPF trampolines (CONFIG_FUNCTION_TRACER, BTF), or no such function",
      hint: "ls /sys/kernel/btf/vmlinux /sys/kernel/tracing/available_filter_functions",
    }),
  },
  {
    code: "unsupported-probe",
    pattern: /Unrecognized probe type: (\S+)|(Invalid) probe type made it/,
    explain: (found) => ({
      message: `this bpftrace does not know ${found[1] === undefined ? "a probe type of the program" : `${found[1]}: probes`}`,
      why: "it is older than the program",
      hint: "bpftrace --version",
    }),
  },
  {
    code: "unsupported-probe",
    pattern: /BPF_FUNC_(\w+) not available for your kernel version|Missing required kernel feature: (\w+)/,
    explain: (found) => ({
      message: "this kernel is too old for the program",
      why: `it has no ${found[1] ?? found[2]}`,
      hint: "uname -r",
    }),
  },
  {
    code: "unsupported-probe",
    pattern:
      /(?:Error attaching|Unable to attach) probe: '?([^'\s]+?)'?\.?(?: |$)|No matches for (\w+ \S+?)\.?$|Failed to find usdt probe: (\S+)|Probe does not exist: (\S+)|Could not resolve symbol: ([^\s,]+)|(Probe has no valid attach points)/,
    explain: (found, { lines, programLine }) => {
      const program = found[6] === undefined ? undefined : /^[^\s{/]+/.exec(programLine.trim())?.[0];
      const name = (found[1] ?? found[2] ?? found[3] ?? found[4] ?? found[5] ?? program)?.replace(" ", ":");
      return {
        message: `${name ?? "a probe of the program"} cannot be attached`,
        why:
          lines.find((line) => /perf_event_open failed|create_probe_event: /.test(line)) ??
          "there is no such probe here",
        hint: name === undefined ? null : `bpftrace -l ${quote(name)}`,
      };
    },
  },
];

function explainTracepoint(name: string, version: FailureContext["version"]): Omit<Failure, "code"> {
  // 0.11 looks in debugfs only; 0.17 and later in both places.
  const old = version !== null && !atLeast(version, 0, 12);
  const [type, folder] = old ? ["debugfs", "/sys/kernel/debug"] : ["tracefs", "/sys/kernel/tracing"];
  const events = old ? `${folder}/tracing/events` : `${folder}/events`;
  const category = /^[\w-]+(?=:)/.exec(name)?.[0];
  return {
    message: `there is no tracepoint ${name}`,
    why: `this kernel does not have it, or ${type} is not mounted${old ? " (this bpftrace looks nowhere else)" : ""}`,
    hint: `mountpoint -q ${folder} || mount -t ${type} ${type} ${folder}; ls ${events}${category === undefined ? "" : `/${category}`}`,
  };
}

function nameAttached(lines: readonly string[]): string {
  for (const line of lines) {
    const name = /Error attaching probe: '?k(?:ret)?probe:([^'\s]+)/.exec(line)?.[1];
    if (name !== undefined) return ` on ${name}`;
  }
  return "";
}

/** A word safe to paste into a shell: names come from the program, wildcards and all. */
function quote(word: string): string {
  return /^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
