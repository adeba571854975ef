import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { classifyStderr, explainFailure } from "../../../src/wire/stderr.ts";
import type { Failure } from "../../../src/wire/stderr.ts";
import { parseBpftraceVersion } from "../../../src/wire/version.ts";
import { VERSIONS, readLines } from "./recording.ts";
import type { Recorded } from "./recording.ts";

function readStderr(version: Recorded, name: string): string[] {
  return readLines(version, `${name}.err`).map((line) => line.toString("utf8"));
}

function readStatus(version: Recorded, name: string): number {
  const all: unknown = JSON.parse(
    readFileSync(new URL(`../../../fixtures/wire/${version}/exit-status.json`, import.meta.url), "utf8"),
  );
  const status: unknown = typeof all === "object" && all !== null ? Reflect.get(all, name) : null;
  if (typeof status !== "number") throw new Error(`no exit status of ${name} for ${version}`);
  return status;
}

function explain(version: Recorded, name: string): Failure {
  const run = { stderr: readStderr(version, name), exitCode: readStatus(version, name), signal: null };
  return explainFailure(run, parseBpftraceVersion(version));
}

function because(...stderr: string[]): Failure {
  return explainFailure({ stderr, exitCode: 255, signal: null }, null);
}

describe("classifyStderr", () => {
  test.each(VERSIONS)("a good run of %s says nothing worth a warning", (version) => {
    const summary = classifyStderr(readStderr(version, "begin_printf"));
    expect(summary).toMatchObject({ warnings: [], errors: [], ready: false, lost: 0 });
    expect(summary.noise.length).toBeGreaterThan(0);
  });

  test("a compile warning is one, without the program line under it", () => {
    for (const version of ["0.11.3", "0.17.0", "0.23.2"] as const) {
      const { warnings, errors } = classifyStderr(readStderr(version, "err_runtime_divzero"));
      expect(errors).toEqual([]);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain("signed operands for '/'");
    }
  });

  test("an error over several lines of the program is one line", () => {
    expect(classifyStderr(readStderr("0.27.0", "multiline")).errors).toEqual([
      "stdin:3-4: ERROR: Unknown function: 'foo'",
    ]);
  });

  test("the program line may hold any word", () => {
    const lines = [
      "stdin:1:1-2: WARNING: careful",
      'BEGIN { printf("ERROR: failed"); }',
      "~~",
      "ERROR: the real one",
    ];
    expect(classifyStderr(lines)).toMatchObject({ warnings: [lines[0]], errors: [lines[3]] });
  });

  test("ready, up to 0.22", () => {
    expect(classifyStderr(readStderr("0.17.0", "ready"))).toMatchObject({
      ready: true,
      warnings: [],
      errors: [],
    });
  });

  test("lost events: the total where there is one, else the sum", () => {
    const text = classifyStderr(readStderr("0.27.0", "lost_text"));
    expect(text).toMatchObject({ lost: 11007, warnings: [], errors: [] });
    expect(classifyStderr(["Lost 3 events", "Lost 11004 events"]).lost).toBe(11007);
    expect(classifyStderr(readStderr("0.27.0", "lost")).lost).toBe(0x16ab);
  });

  test("a full map is noise here: the records say it", () => {
    const { noise, warnings, errors } = classifyStderr(readStderr("0.27.0", "map_full_text"));
    expect({ warnings, errors }).toEqual({ warnings: [], errors: [] });
    expect(noise.some((line) => line.includes("Map full"))).toBe(true);
  });

  test("the help text after an unknown option is noise, the complaint is not", () => {
    for (const version of VERSIONS) {
      const { noise, errors } = classifyStderr(readStderr(version, "unknown_option"));
      expect(errors).toEqual(["bpftrace: unrecognized option '--nosuch'"]);
      expect(noise.length).toBeGreaterThan(20);
    }
  });

  test("what nobody knows is a warning", () => {
    expect(classifyStderr(["something new", "  ", ""])).toEqual({
      noise: [],
      warnings: ["something new"],
      errors: [],
      ready: false,
      lost: 0,
    });
  });
});

describe("explainFailure", () => {
  test.each(VERSIONS)("the recorded failures of %s", (version) => {
    const codes = Object.fromEntries(
      [
        "err_tracepoint2",
        "err_wild",
        "err_kprobe_real",
        "err_fentry",
        "err_hw",
        "err_syntax",
        "err_func",
        "not_root",
        "no_tracefs",
        "verifier",
        "missing_header",
        "unknown_option",
      ].map((name) => [name, explain(version, name).code]),
    );
    expect(codes).toEqual({
      err_tracepoint2: "no-tracepoint",
      err_wild: "no-tracepoint",
      err_kprobe_real: "no-kprobe",
      err_fentry: "unsupported-probe",
      err_hw: "unsupported-probe",
      err_syntax: "syntax",
      err_func: "syntax",
      not_root: "no-permission",
      no_tracefs: "no-tracepoint",
      verifier: "verifier",
      missing_header: "headers",
      unknown_option: "too-old",
    });
  });

  test.each(VERSIONS)("%s names what is missing", (version) => {
    expect(explain(version, "err_tracepoint2").message).toBe("there is no tracepoint skb:nope");
    expect(explain(version, "err_kprobe_real").message).toBe("no kprobe can be set on oom_kill_process");
    expect(explain(version, "err_hw").message).toBe("hardware:cpu-cycles:1000000 cannot be attached");
    expect(explain(version, "err_syntax").why).toMatch(/^line 1, column 20: syntax/);
    expect(explain(version, "missing_header").why).toContain("linux/nosuch.h");
  });

  test("a hint can be pasted: 0.11 needs debugfs, later ones tracefs", () => {
    expect(explain("0.11.3", "err_tracepoint2").hint).toBe(
      "mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug; ls /sys/kernel/debug/tracing/events/skb",
    );
    expect(explain("0.23.2", "err_tracepoint2").hint).toBe(
      "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing; ls /sys/kernel/tracing/events/skb",
    );
    expect(explain("0.27.0", "no_tracefs")).toMatchObject({
      why: "tracefs is not mounted",
      hint: "mount -t tracefs tracefs /sys/kernel/tracing",
    });
    expect(explain("0.23.2", "err_wild").hint).toMatch(/ls \/sys\/kernel\/tracing\/events$/);
  });

  test("an unknown field, with the command that lists the fields", () => {
    for (const version of ["0.17.0", "0.23.2", "0.27.0"] as const) {
      expect(explain(version, "err_field")).toMatchObject({
        code: "unknown-field",
        why: "the event skb:kfree_skb of this kernel has no such field",
        hint: "cat /sys/kernel/tracing/events/skb/kfree_skb/format",
      });
    }
    expect(explain("0.17.0", "kfree_skb_dot")).toMatchObject({
      code: "unknown-field",
      why: expect.stringContaining("->"),
    });
  });

  test("what only some versions can fail with", () => {
    expect(explain("0.11.3", "err_field").code).toBe("headers");
    expect(explain("0.11.3", "oom_fields")).toMatchObject({
      code: "headers",
      why: "it reads them by the C headers that are installed, which lack a type of the kernel's (unknown type name 'uid_t')",
    });
    // 0.17 on 5.10, as it was printed there.
    const missing = because(
      "/bpftrace/include/clang_workarounds.h:14:10: fatal error: 'linux/types.h' file not found",
    );
    expect(missing).toMatchObject({ code: "headers", why: expect.stringContaining("linux/types.h") });
    expect(missing.hint).toBe(
      "apt-get install linux-libc-dev   # Fedora, RHEL: dnf install kernel-headers; Alpine: apk add linux-headers",
    );
    const lacking = because(
      "definitions.h:21:3: error: unknown type name 'pid_t'",
      "ERROR: Include headers with missing type definitions or install BTF information to your system.",
    );
    expect(lacking).toMatchObject({
      code: "headers",
      message: "this bpftrace does not understand this kernel's tracepoints",
      why: expect.stringContaining("(unknown type name 'pid_t')"),
      hint: expect.stringMatching(
        /^apt-get install linux-headers-\$\(uname -r\) {3}# .*kernel-devel.*newer bpftrace \(0\.23\)/,
      ),
    });
    expect(explain("0.11.3", "btf_cast").code).toBe("no-btf");
    expect(explain("0.23.2", "no_btf").code).toBe("no-btf");
    expect(explain("0.11.3", "stack_limit").code).toBe("verifier");
    expect(explain("0.17.0", "stack_limit").hint).toBe("export BPFTRACE_STRLEN=32");
    expect(explain("0.17.0", "huge_map")).toMatchObject({
      code: "other",
      why: "it has more entries than the kernel allows",
    });
    expect(explain("0.23.2", "huge_map").code).toBe("verifier");
    expect(explain("0.27.0", "missing_cap").why).toBe("this process lacks CAP_BPF");
    expect(explain("0.17.0", "missing_symbol").message).toBe("the kernel has no symbol nosuchsym");
    expect(explain("0.27.0", "missing_symbol").message).toBe("the kernel has no symbol nosuchsym");
    expect(explain("0.23.2", "missing_uprobe").message).toBe("/bin/true:nosuch cannot be attached");
    expect(explain("0.27.0", "missing_uprobe").message).toBe("uprobe:/bin/true:nosuch cannot be attached");
    for (const version of ["0.11.3", "0.23.2", "0.27.0"] as const)
      expect(explain(version, "missing_usdt").code).toBe("unsupported-probe");
    expect(explain("0.17.0", "ring_size").why).toBe("mmap: Invalid argument");
    expect(explain("0.27.0", "verifier").why).toBe("-28 (No space left on device)");
    expect(explain("0.27.0", "multiline")).toMatchObject({
      code: "syntax",
      why: "line 3: Unknown function: 'foo'",
    });
  });

  test("kfunc: 0.11 fails without a word", () => {
    expect(explain("0.11.3", "err_kfunc")).toEqual({
      code: "other",
      message: "bpftrace failed with status 1",
      why: "it gave no reason",
      hint: null,
    });
    expect(explain("0.17.0", "err_kfunc").code).toBe("unsupported-probe");
    expect(explain("0.27.0", "err_kfunc").message).toBe("fentry:oom_kill_process cannot be attached");
  });

  test("a crash, by exit status or by signal, with its last words", () => {
    expect(explain("0.11.3", "end_clear")).toMatchObject({
      code: "abort",
      why: 'Could not clear map with ident "@a", err=-1',
    });
    expect(explain("0.23.2", "division")).toMatchObject({
      code: "abort",
      message: "bpftrace crashed (SIGFPE)",
    });
    expect(explainFailure({ stderr: [], exitCode: null, signal: "SIGSEGV" }, null)).toMatchObject({
      code: "abort",
    });
    // 0.17 aborts on a probe type it does not know: that is the better reason.
    expect(readStatus("0.17.0", "err_fentry")).toBe(134);
    expect(explain("0.17.0", "err_fentry").code).toBe("unsupported-probe");
  });

  test("ended by a signal", () => {
    expect(explainFailure({ stderr: [], exitCode: null, signal: "SIGKILL" }, null)).toMatchObject({
      code: "killed",
      message: "bpftrace was ended by SIGKILL",
    });
    expect(explainFailure({ stderr: [], exitCode: 137, signal: null }, null).code).toBe("killed");
    expect(explainFailure({ stderr: [], exitCode: null, signal: "SIGUSR2" }, null)).toMatchObject({
      code: "killed",
      why: null,
    });
    expect(explainFailure({ stderr: [], exitCode: 255, signal: null }, null).code).toBe("other");
  });

  test("a locked-down kernel, too little locked memory, no right to open perf events", () => {
    expect(
      because("ERROR: Kernel lockdown is enabled and set to 'confidentiality'. Lockdown mode blocks").code,
    ).toBe("lockdown");
    expect(because("ERROR: failed to create map: '@flows': Operation not permitted")).toMatchObject({
      code: "memlock",
      hint: "ulimit -l unlimited",
    });
    expect(
      because("perf_event_open failed: Permission denied", "ERROR: Error attaching probe: profile:hz:99")
        .code,
    ).toBe("no-permission");
  });

  test("words nobody knows are repeated, an error before a warning", () => {
    expect(because("WARNING: odd", "ERROR: worse")).toMatchObject({ code: "other", why: "worse" });
    expect(because("WARNING: odd")).toMatchObject({ code: "other", why: "odd" });
  });

  test("any stderr is explained in single lines of bounded length", () => {
    const line = fc.oneof(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc
        .constantFrom(
          "stdin:1:1-2: ERROR: ",
          "tracepoint not found: ",
          "No matches for kprobe ",
          "does not contain a field named '",
        )
        .chain((head) => fc.string({ unit: "binary", maxLength: 400 }).map((tail) => head + tail)),
    );
    const status = fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 6 }),
        status,
        fc.constantFrom(null, "SIGKILL", "SIGABRT", "x\u001b[31m"),
        (stderr, exitCode, signal) => {
          const { message, why, hint } = explainFailure({ stderr, exitCode, signal }, null);
          for (const text of [message, why ?? "", hint ?? ""]) {
            expect(text.length).toBeLessThanOrEqual(300);
            expect(text).not.toMatch(/\p{Cc}/u);
          }
        },
      ),
    );
  });
});
