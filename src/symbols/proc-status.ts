/** What tells one program in one process from the next: a pid is used again, and exec keeps the pid. */
export interface ProcessIdentity {
  /** Equal for as long as the process runs the same program. */
  readonly key: string;
  /** It has user memory: false for a kernel thread and a process that has exited but is not yet waited for. */
  readonly hasMemory: boolean;
}

/** Reads /proc/PID/stat (proc_pid_stat(5)), or null. */
export function parseIdentity(stat: string): ProcessIdentity | null {
  // The name in parentheses can hold anything, also parentheses.
  const end = stat.lastIndexOf(")");
  const fields = stat.slice(end + 2).split(" ");
  // Field 22 starttime, 26 startcode, 28 startstack; fields[0] is field 3. Exec gives new random values to the last two.
  const [started, code, stack] = [fields[19], fields[23], fields[25]];
  if (end === -1 || started === undefined || code === undefined || stack === undefined) return null;
  return { key: `${started} ${code} ${stack}`, hasMemory: code !== "0" || stack !== "0" };
}

export interface ProcessStatus {
  /** Its pid as it sees it itself: in its innermost pid namespace. Null before Linux 4.1. */
  readonly innerPid: number | null;
  /** Effective user id, as seen from here. */
  readonly uid: number | null;
}

/** Reads /proc/PID/status (proc_pid_status(5)). */
export function parseStatus(status: string): ProcessStatus {
  const inner = /^NSpid:.*\s(\d{1,10})\s*$/m.exec(status);
  const uid = /^Uid:\s+\d+\s+(\d{1,10})\b/m.exec(status);
  return { innerPid: inner ? Number(inner[1]) : null, uid: uid ? Number(uid[1]) : null };
}
