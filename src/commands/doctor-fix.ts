import type { Check } from "../host/check.ts";
import { MOUNT_DEBUGFS, MOUNT_TRACEFS } from "../host/doctor.ts";
import { installCommand, refreshCommand } from "../host/packages.ts";
import type { RunTool } from "../host/run-tool.ts";
import { escapeText } from "../text/escape.ts";

/** Seconds: a slow mirror and the lock of another package manager included. */
const INSTALL_TIMEOUT = 900;
const MOUNT_TIMEOUT = 30;

/** A fresh server updates itself in the background and holds the lock; no dialogue may wait for an answer. */
const APT_ENVIRONMENT = ["env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1"];
const APT_WAIT = ["apt-get", "-o", "DPkg::Lock::Timeout=120"];

export interface FixContext {
  readonly isRoot: boolean;
  readonly osRelease: Readonly<Record<string, string>>;
  readonly env: { readonly TRACE_NO_INSTALL?: string | undefined };
  readonly run: RunTool;
  /** One line to the user: what is done, or why not. */
  readonly say: (line: string) => void;
}

/**
 * Does what `--fix` may do: mounts tracefs (and debugfs for bpftrace 0.11), installs bpftrace. Nothing else on the system is touched. Failures are said,
 * not thrown: the table that follows shows what is still missing.
 */
export async function fixHost(checks: readonly Check[], context: FixContext): Promise<void> {
  const fixable = checks.filter((check) => check.fixable !== null && check.status !== "ok");
  if (fixable.length === 0) {
    context.say("nothing that --fix could do");
    return;
  }
  if (!context.isRoot) {
    context.say(
      `--fix needs root for ${fixable.map((check) => check.what).join(", ")}: sudo trace doctor --fix`,
    );
    return;
  }
  for (const check of fixable) {
    if (check.fixable === "mount-tracefs") await runStep(MOUNT_TRACEFS, MOUNT_TIMEOUT, context);
    if (check.fixable === "mount-debugfs") await runStep(MOUNT_DEBUGFS, MOUNT_TIMEOUT, context);
    if (check.fixable === "install-bpftrace") await installBpftrace(context);
  }
}

async function installBpftrace(context: FixContext): Promise<void> {
  const install = installCommand(context.osRelease, "bpftrace");
  if (install === null) return;
  if (context.env.TRACE_NO_INSTALL === "1") {
    context.say(`not installed, because TRACE_NO_INSTALL=1 is set; by hand: ${install.join(" ")}`);
    return;
  }
  if (await runStep(install, INSTALL_TIMEOUT, context)) return;
  // On a fresh machine the package lists are old or absent.
  const refresh = refreshCommand(context.osRelease);
  if (refresh !== null && (await runStep(refresh, INSTALL_TIMEOUT, context))) {
    await runStep(install, INSTALL_TIMEOUT, context);
  }
}

async function runStep(command: readonly string[], timeout: number, context: FixContext): Promise<boolean> {
  const [program = "", ...args] =
    command[0] === "apt-get" ? [...APT_ENVIRONMENT, ...APT_WAIT, ...command.slice(1)] : command;
  context.say(command.join(" "));
  const result = await context.run(program, args, { timeout });
  if (!result.ok) context.say(`that failed: ${escapeText(result.message.slice(0, 400))}`);
  return result.ok;
}
