/** Figures of a `Killed process` line; null for what it does not say or was cut before. Sizes in bytes. */
export interface KillFigures {
  pid: number | null;
  comm: string | null;
  uid: number | null;
  totalVmBytes: number | null;
  anonRssBytes: number | null;
  fileRssBytes: number | null;
  shmemRssBytes: number | null;
  pageTableBytes: number | null;
  oomScoreAdj: number | null;
}

/** What `oom-kill:` (5.0+) says. */
export interface Chosen {
  constraint: string | null;
  /** Null where the line was cut. */
  pid: number | null;
  comm: string | null;
  uid: number | null;
  oomCgroup: string | null;
  taskCgroup: string | null;
  global: boolean;
  /** The line itself: who knows the comm from elsewhere can read it without doubt. */
  text: string;
}

const KIB = 1024;

function kib(text: string, name: string): number | null {
  const value = new RegExp(`${name}:(\\d+)kB`).exec(text)?.[1];
  return value === undefined ? null : Number(value) * KIB;
}

/**
 * 5.3–5.8 printed the page tables' bytes as kB (fixed by "mm/oom: fix pgtables units mismatch in Killed process
 * message"). Bytes are whole pages and, read as kB, exceed all the memory the process had.
 */
function pageTables(text: string, rss: number | null): number | null {
  const bytes = kib(text, "pgtables");
  if (bytes === null) return null;
  const printed = bytes / KIB;
  return printed > 0 && printed % 4096 === 0 && rss !== null && bytes > rss ? printed : bytes;
}

/** Reads what follows "Killed process ". The comm may hold anything, so it ends at the last ") total-vm:". */
export function parseKillLine(tail: string): KillFigures {
  const head = /^(\d+)(?:, UID (\d+),)? \(([\s\S]*?)$/.exec(tail);
  const none: KillFigures = {
    pid: null,
    comm: null,
    uid: null,
    totalVmBytes: null,
    anonRssBytes: null,
    fileRssBytes: null,
    shmemRssBytes: null,
    pageTableBytes: null,
    oomScoreAdj: null,
  };
  const pid = /^(\d+)[ ,]/.exec(tail)?.[1];
  if (pid === undefined) return none;
  if (head === null) return { ...none, pid: Number(pid) };
  const full = /^([\s\S]*)\),?(?: UID (\d+),)? (total-vm:\d+kB[\s\S]*)$/.exec(head[3] ?? "");
  if (full === null) {
    // Cut after the name, or a kernel that prints no sizes.
    const comm = /^([\s\S]{0,16})\)(?:[ ,.]|$)/.exec(head[3] ?? "")?.[1] ?? null;
    return { ...none, pid: Number(pid), comm, uid: head[2] === undefined ? null : Number(head[2]) };
  }
  const [, comm = "", oldUid, sizes = ""] = full;
  const anon = kib(sizes, "anon-rss");
  const file = kib(sizes, "file-rss");
  const shmem = kib(sizes, "shmem-rss");
  const uid = / UID:(\d+)/.exec(sizes)?.[1] ?? oldUid ?? head[2];
  const adj = / oom_score_adj:(-?\d+)/.exec(sizes)?.[1];
  return {
    pid: Number(pid),
    comm,
    uid: uid === undefined ? null : Number(uid),
    totalVmBytes: kib(sizes, "total-vm"),
    anonRssBytes: anon,
    fileRssBytes: file,
    shmemRssBytes: shmem,
    pageTableBytes: pageTables(sizes, anon === null || file === null ? null : anon + file + (shmem ?? 0)),
    oomScoreAdj: adj === undefined ? null : Number(adj),
  };
}

/**
 * `oom_memcg=A,task_memcg=B`: cgroup names may hold commas and `=`, even `,task_memcg=`. B lies in A's subtree, so of
 * several places to split the one where B starts with A is right.
 */
function splitCgroups(text: string): { oomCgroup: string | null; taskCgroup: string | null } {
  const word = ",task_memcg=";
  let first: { oomCgroup: string; taskCgroup: string } | null = null;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const split = { oomCgroup: text.slice(0, at), taskCgroup: text.slice(at + word.length) };
    first ??= split;
    const { oomCgroup, taskCgroup } = split;
    if (oomCgroup === "/" || taskCgroup === oomCgroup || taskCgroup.startsWith(`${oomCgroup}/`)) return split;
  }
  return first ?? { oomCgroup: text === "" ? null : text, taskCgroup: null };
}

/** Where ",task=COMM" starts: a known comm ends the text; else it has at most 15 bytes, so the first place that fits. */
function findTask(text: string, comm: string | null): number {
  if (comm !== null && text.endsWith(`,task=${comm}`)) return text.length - `,task=${comm}`.length;
  return text.indexOf(",task=", Math.max(0, text.length - ",task=".length - 15));
}

/**
 * Reads an `oom-kill:` line; a cut one gives what came before the cut. Cgroup names and comms may hold the words the
 * line is made of: `comm`, known from the kill line, settles where it starts.
 */
export function parseChosen(text: string, constraint: string | null, comm: string | null = null): Chosen {
  const chosen: Chosen = {
    constraint,
    pid: null,
    comm: null,
    uid: null,
    oomCgroup: null,
    taskCgroup: null,
    global: false,
    text,
  };
  const end = /,pid=(\d+),uid=(-?\d+)\s*$/.exec(text);
  let rest = end === null ? text : text.slice(0, end.index);
  if (end !== null) {
    chosen.pid = Number(end[1]);
    // %d of an unsigned id: 4294967294 ("nobody" of 32 bits) is printed as -2.
    chosen.uid = Number(end[2]) >>> 0;
    const at = findTask(rest, comm);
    if (at >= 0) {
      chosen.comm = rest.slice(at + ",task=".length);
      rest = rest.slice(0, at);
    }
  }
  const limited = rest.indexOf(",oom_memcg=");
  if (limited >= 0) {
    const split = splitCgroups(rest.slice(limited + ",oom_memcg=".length));
    // Without the end of the line the last name may be cut.
    chosen.oomCgroup = end === null && split.taskCgroup === null ? null : split.oomCgroup;
    chosen.taskCgroup = end === null ? null : split.taskCgroup;
    return chosen;
  }
  const global = rest.indexOf(",global_oom");
  if (global >= 0) {
    chosen.global = true;
    const task = rest.indexOf(",task_memcg=", global);
    if (task >= 0 && end !== null) chosen.taskCgroup = rest.slice(task + ",task_memcg=".length);
  }
  return chosen;
}
