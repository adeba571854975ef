/**
 * What a mapping holds. `file`: a file that can hold code. `anonymous`: memory without a file, also memory whose "file" has
 * no name elsewhere (memfd, shared anonymous memory), as JIT compilers use it and now and then a program. `special`: `[heap]`, `[stack]`, ….
 */
export type MappingKind = "file" | "anonymous" | "vdso" | "special";

/** One line of /proc/PID/maps (proc_pid_maps(5)). */
export interface Mapping {
  readonly start: number;
  /** First address after it. */
  readonly end: number;
  readonly executable: boolean;
  /** Of `start` in the file, in bytes. */
  readonly offset: number;
  /** Decimal. Text, because inode numbers use all 64 bits on some filesystems. */
  readonly inode: string;
  readonly kind: MappingKind;
  /** To show. Empty for plain anonymous memory. */
  readonly path: string;
  /** To open: the path's bytes, which need not be UTF-8. */
  readonly rawPath: Buffer;
  /** The kernel said that the file has no name any more; `path` is the one it had. */
  readonly deleted: boolean;
}

export interface Maps {
  /** Ascending by address, without overlap, as the kernel writes them; what is not so is malformed. */
  readonly mappings: readonly Mapping[];
  readonly malformed: number;
  /** There were more mappings than the limit. */
  readonly truncated: boolean;
}

// start-end perms offset major:minor inode path
const LINE =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) [r-][w-]([x-])[ps] ([0-9a-f]{1,16}) [0-9a-f]+:[0-9a-f]+ (\d{1,20}) *(.*)$/s;
const DELETED = " (deleted)";
/** "Files" that exist only as memory: memfd_create, shared anonymous memory, System V, huge pages, Android's old name. */
const MEMORY_FILE = /^\/(?:memfd:|dev\/zero$|SYSV|anon_hugepage|\/anon)/;

/** Reads the text of /proc/PID/maps. Paths are bytes, so it takes bytes. */
export function parseMaps(bytes: Buffer, most: number): Maps {
  const mappings: Mapping[] = [];
  let malformed = 0;
  let from = 0;
  let floor = 0;
  while (from < bytes.length) {
    const newline = bytes.indexOf(10, from);
    const end = newline === -1 ? bytes.length : newline;
    const line = bytes.toString("latin1", from, end);
    from = end + 1;
    if (line === "") continue;
    if (mappings.length >= most) return { mappings, malformed, truncated: true };
    const mapping = parseLine(line);
    if (mapping === null || mapping.start < floor) malformed++;
    else {
      mappings.push(mapping);
      floor = mapping.end;
    }
  }
  return { mappings, malformed, truncated: false };
}

function parseLine(line: string): Mapping | null {
  const match = LINE.exec(line);
  if (match === null) return null;
  const [, startText, endText, execute, offsetText, inode, rest] = match;
  const start = Number.parseInt(startText!, 16);
  const end = Number.parseInt(endText!, 16);
  if (end <= start) return null;
  // The kernel writes a newline in a path as \012, and nothing else escaped (fs/seq_file.c, seq_path).
  const written = rest!.replaceAll("\\012", "\n");
  const deleted = written.startsWith("/") && written.endsWith(DELETED);
  const name = deleted ? written.slice(0, -DELETED.length) : written;
  const rawPath = Buffer.from(name, "latin1");
  return {
    start,
    end,
    executable: execute === "x",
    offset: Number.parseInt(offsetText!, 16),
    inode: inode!,
    kind: kindOf(name, inode!),
    path: rawPath.toString("utf8"),
    rawPath,
    deleted,
  };
}

function kindOf(name: string, inode: string): MappingKind {
  if (name === "[vdso]") return "vdso";
  // `[anon:NAME]` and `[anon_shmem:NAME]` are memory that the program named by prctl(PR_SET_VMA).
  if (name === "" || name.startsWith("[anon") || MEMORY_FILE.test(name)) return "anonymous";
  return name.startsWith("/") && inode !== "0" ? "file" : "special";
}
