/**
 * What one kernel record can be in an OOM report. The texts are those of mm/oom_kill.c, mm/memcontrol.c and
 * mm/show_mem.c from 3.10 to 7.x; they are anchored at the start of the record, because names inside are hostile.
 */
export type OomLine =
  | {
      kind: "header";
      comm: string | null;
      mask: string | null;
      flags: string | null;
      nodemask: string | null;
      order: number | null;
      adj: number | null;
    }
  | { kind: "cpu"; pid: number; comm: string; kernel: string | null; complete: boolean }
  | { kind: "trace" }
  /** `pair`: of a kind of stack that no "Call Trace:" need announce. */
  | { kind: "frame"; name: string; pair: boolean }
  | { kind: "registers" }
  | { kind: "limit-of"; task: string; limit: string }
  | {
      kind: "counter";
      name: "memory" | "swap" | "memory+swap" | "kmem";
      usage: number;
      limit: number;
      failcnt: number;
    }
  | { kind: "stats"; text: string }
  | { kind: "mem-info" }
  | { kind: "tasks" }
  | { kind: "columns"; names: string[] }
  | { kind: "row" }
  | { kind: "chosen"; constraint: string | null; text: string; complete: boolean }
  | { kind: "score"; memcg: boolean; pid: number }
  | {
      kind: "kill";
      memcg: boolean | null;
      prefix: string;
      pid: number | null;
      text: string;
      complete: boolean;
    }
  | { kind: "group"; cgroup: string }
  | { kind: "reaped"; pid: number; comm: string; anon: number; file: number; shmem: number }
  | { kind: "suppressed"; count: number }
  | { kind: "no-victim" }
  | { kind: "exiting"; pid: number; comm: string }
  | { kind: "panic" }
  | { kind: "other-report" }
  | { kind: "lost" }
  | { kind: "other" };

const HEADER = /^([\s\S]{0,200}?) invoked oom-killer(?::|$)/;
const MASK = /gfp_mask=(0x[0-9a-f]+)(?:\(([^)]*)\))?,/;
const CPU = /^(?:CPU: \d+ (?:UID: \d+ )?PID: (\d+) Comm: |Pid: (\d+), comm: )([\s\S]*)$/;
const TAINT = /^([\s\S]*?)(?: Kdump: loaded)? (?:Not tainted|Tainted: )/;
const VERSION = /(\d+\.\d+\S*) #/;
const FRAME =
  /^\s*(?:\[<?[0-9a-f]+>?\] )*(\? )?([\w.$]+)\+0x[0-9a-f]+\/0x[0-9a-f]+(?: \[(\w[\w-]*)[^\]]*\])?/;
/** 32-bit ARM prints pairs: `(oom_kill_process) from [<c009a57c>] (out_of_memory+0x2f8/0x32c)`, from 5.19 on without addresses. */
const CALLER =
  /^(?:\[<[0-9a-f]+>\] \()?([\w.$]+)(?: \[(\w[\w-]*)\])?\)? from (?:\[<[0-9a-f]+>\] \()?[\w.$]+\+0x[0-9a-f]+\/0x[0-9a-f]+(?: \[\w[\w-]*\])?\)?/;
const REGISTERS = /^(?:RIP: |Code: |RSP: |R[A-D0-9]\w+: |pc : |Exception stack|Modules linked)/;
const LIMIT_OF = /^Task in ([\s\S]+) killed as a result of limit of ([\s\S]+)$/;
const COUNTER = /^(memory|swap|memory\+swap|kmem): usage (\d+)kB, limit (\d+)kB, failcnt (\d+)/;
const COLUMNS = /^\[ *pid *\] +(uid +tgid +total_vm +rss .*)name\s*$/;
const ROW = /^\[ *\d+\] +-?\d+ +\d+ +\d+ +\d+ /;
const CHOSEN_END = /,task=([\s\S]*),pid=(\d+),uid=(-?\d+)\s*$/;
const SCORE =
  /^(Memory cgroup out of memory|Out of memory[^:]*|No available memory[^:]*): Kill process (\d+) /i;
const KILL = /^(?:(Memory cgroup out of memory|Out of [Mm]emory(?: \([\w ]*\))?): )?Killed process (?=\d|$)/;
const KILL_TAIL =
  /^(\d+)(?:, UID \d+,)? \([\s\S]*\),?(?: UID \d+,)? total-vm:\d+kB, anon-rss:\d+kB, file-rss:\d+kB/;
const GROUP = /^Tasks in ([\s\S]+) are going to be killed due to memory\.oom\.group set/;
const REAPED =
  /^oom_reaper: reaped process (\d+) \(([\s\S]*)\),? now anon-rss:(\d+)kB, file-rss:(\d+)kB, shmem-rss:(\d+)kB/;
const SUPPRESSED = /^(?:oom_kill_process|dump_header|out_of_memory)[\w.]*: (\d+) callbacks suppressed/;
const EXITING = /: OOM victim (\d+) \(([\s\S]*)\) is already exiting\. Skip killing the task/;
const PANIC = /^Kernel panic - not syncing: (?:out of memory|system is deadlocked on memory)/i;
const NO_VICTIM = /^(?:Memory cgroup o|O)ut of memory and no killable processes/;
/** Reports of other subsystems that bring their own stack and Mem-Info. */
const OTHER_REPORT =
  /^(?:[\s\S]{0,40}: page allocation (?:failure|stalls)|INFO: |BUG: |WARNING: |watchdog: |rcu: |-+\[ cut here|sysrq: |SysRq : |Oops)/;

/** The console could not keep up (kernel/printk/printk.c). */
const LOST = /^(?:\*\* \d+ printk messages? dropped|printk: \d+ messages? (?:dropped|suppressed))/;

const OTHER: OomLine = { kind: "other" };

/** Only records with one of these words can begin or end anything while no report is open. */
const TRIGGER = /oom|Kill|emory|suppressed|Tasks state|tgid/;

/** A cheap test that lets the parser skip most of a log; misses nothing that starts a report. */
export function mayMatter(text: string): boolean {
  return TRIGGER.test(text);
}

function parseHeader(text: string, comm: string): OomLine {
  const mask = MASK.exec(text);
  const number = (pattern: RegExp): number | null => {
    const value = pattern.exec(text)?.[1];
    return value === undefined ? null : Number(value);
  };
  return {
    kind: "header",
    comm: comm.length > 32 ? null : comm,
    mask: mask?.[1] ?? null,
    flags: mask?.[2] ?? null,
    nodemask: / nodemask=(\S+),/.exec(text)?.[1] ?? null,
    order: number(/ order=(-?\d+)/),
    adj: number(/ oom_score_adj=(-?\d+)/),
  };
}

function parseKill(text: string, match: RegExpExecArray): OomLine {
  const tail = text.slice(match[0].length);
  const prefix = match[1] ?? "";
  // Cut inside the number: it is a kill, but nobody knows whose.
  const pid = /^(\d+)[ ,]/.exec(tail)?.[1];
  return {
    kind: "kill",
    memcg: prefix === "" ? null : prefix.startsWith("Memory"),
    prefix,
    pid: pid === undefined ? null : Number(pid),
    text: tail,
    complete: KILL_TAIL.test(tail),
  };
}

function parseCpu(match: RegExpExecArray): OomLine {
  const rest = match[3] ?? "";
  const taint = TAINT.exec(rest);
  return {
    kind: "cpu",
    pid: Number(match[1] ?? match[2]),
    comm: taint?.[1] ?? rest,
    kernel: VERSION.exec(rest)?.[1] ?? null,
    complete: taint !== null,
  };
}

function parseRare(text: string): OomLine | null {
  const header = HEADER.exec(text);
  if (header !== null) return parseHeader(text, header[1] ?? "");
  const score = SCORE.exec(text);
  if (score !== null) return { kind: "score", memcg: text.startsWith("Memory"), pid: Number(score[2]) };
  const group = GROUP.exec(text);
  if (group !== null) return { kind: "group", cgroup: group[1] ?? "" };
  const reaped = REAPED.exec(text);
  if (reaped !== null) {
    const [, pid, comm = "", anon, file, shmem] = reaped;
    return {
      kind: "reaped",
      pid: Number(pid),
      comm,
      anon: Number(anon),
      file: Number(file),
      shmem: Number(shmem),
    };
  }
  const suppressed = SUPPRESSED.exec(text);
  if (suppressed !== null) return { kind: "suppressed", count: Number(suppressed[1]) };
  const exiting = EXITING.exec(text);
  if (exiting !== null) return { kind: "exiting", pid: Number(exiting[1]), comm: exiting[2] ?? "" };
  if (NO_VICTIM.test(text)) return { kind: "no-victim" };
  if (PANIC.test(text)) return { kind: "panic" };
  if (OTHER_REPORT.test(text)) return { kind: "other-report" };
  if (LOST.test(text)) return { kind: "lost" };
  return null;
}

function parseSection(text: string): OomLine | null {
  const limitOf = LIMIT_OF.exec(text);
  if (limitOf !== null) return { kind: "limit-of", task: limitOf[1] ?? "", limit: limitOf[2] ?? "" };
  const counter = COUNTER.exec(text);
  if (counter !== null) {
    const [, name, usage, limit, failcnt] = counter;
    if (name === "memory" || name === "swap" || name === "memory+swap" || name === "kmem") {
      return { kind: "counter", name, usage: Number(usage), limit: Number(limit), failcnt: Number(failcnt) };
    }
  }
  if (text.startsWith("Memory cgroup stats for ")) return { kind: "stats", text: text.slice(24) };
  if (text.startsWith("Mem-Info:")) return { kind: "mem-info" };
  if (text.startsWith("Tasks state (")) return { kind: "tasks" };
  if (/^\s*Call [Tt]race:/.test(text)) return { kind: "trace" };
  const cpu = CPU.exec(text);
  if (cpu !== null) return parseCpu(cpu);
  if (REGISTERS.test(text)) return { kind: "registers" };
  return null;
}

/** Words without which a record is neither header, kill nor any other event. */
const RARE =
  /oom|OOM|emory|Kill|Task|suppressed|dropped|INFO: |BUG: |WARNING: |watchdog: |rcu: |cut here|ysrq|ysRq|Oops|page alloc/;
const SECTION =
  /^(?:Task in |memory|swap|kmem|Memory cgroup stats|Mem-Info|Tasks state|Call [Tt]race|CPU: |Pid: |R|Code: |pc : |Exception|Modules)/;
/** One counter of memory.stat: the bulk of a cgroup's report. */
const STAT = /^[a-z_0-9]+ \d+$/;

/** A function, with its module where it has one. */
function nameFrame(name: string | undefined, module: string | undefined): string {
  return `${name ?? ""}${module === undefined ? "" : ` [${module}]`}`;
}

/** Reads one record; leading blanks (a log pasted with an indent) mean nothing. Pure; the unknown is `other`. */
export function classify(record: string): OomLine {
  const trimmed = record.charCodeAt(0) === 0x20 ? record.trimStart() : record;
  // A comm can be nothing but blanks.
  const text = trimmed !== record && trimmed.startsWith("invoked oom-killer") ? record : trimmed;
  if (STAT.test(text)) return OTHER;
  if (text.startsWith("[")) {
    if (ROW.test(text)) return { kind: "row" };
    const columns = COLUMNS.exec(text);
    if (columns !== null) return { kind: "columns", names: (columns[1] ?? "").trim().split(/ +/) };
  }
  const frame = text.includes("+0x") ? FRAME.exec(text) : null;
  if (frame !== null) {
    // "? " marks an address found on the stack that may be no caller.
    if (frame[1] !== undefined) return OTHER;
    return { kind: "frame", name: nameFrame(frame[2], frame[3]), pair: false };
  }
  const pair = text.includes(" from ") ? CALLER.exec(text) : null;
  if (pair !== null) return { kind: "frame", name: nameFrame(pair[1], pair[2]), pair: true };
  if (RARE.test(text)) {
    const event = parseEvent(text);
    if (event !== null) return event;
  }
  return SECTION.test(text) ? (parseSection(text) ?? OTHER) : OTHER;
}

function parseEvent(text: string): OomLine | null {
  const kill = KILL.exec(text);
  if (kill !== null) return parseKill(text, kill);
  if (text.startsWith("oom-kill:")) {
    const constraint = /^oom-kill:constraint=(\w+)/.exec(text)?.[1] ?? null;
    return { kind: "chosen", constraint, text, complete: CHOSEN_END.test(text) };
  }
  return parseRare(text);
}
